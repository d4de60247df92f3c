import type { Cache, OpenOptions } from '../../../src/index.ts'

export const keyCount: number
export function openOptions(dir: string, hasHdd?: boolean): OpenOptions
export function batchOf(seed: number, batch: number): [key: string, value: string | undefined][]
export function applyBatch(cache: Cache, seed: number, batch: number): Promise<void>
