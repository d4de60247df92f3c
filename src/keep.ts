/** The public names of `ramcache/keep`: what keeps a store beyond its process and its disk. */
export { type ExportFormat, type ExportOptions, exportEntries } from './keep/export.ts'
export { type ImportOptions, type ImportReport, importEntries } from './keep/import.ts'
