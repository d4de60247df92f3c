/** The public names of `ramcache/keep`: what keeps a store beyond its process and its disk. */

export { type BackupOptions, type BackupReport, backup } from './keep/backup.ts'
export { type DoctorOptions, type DoctorReport, doctor, type Finding } from './keep/doctor.ts'
export { type ExportFormat, type ExportOptions, exportEntries } from './keep/export.ts'
export { type ImportOptions, type ImportReport, importEntries } from './keep/import.ts'
export { type RestoreOptions, type RestoreReport, restore } from './keep/restore.ts'
export { type VerifyOptions, type VerifyReport, verify } from './keep/verify.ts'
