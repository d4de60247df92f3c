/**
 * Mutants: the model with exactly one guard missing. Each names the hazard it is a variant of (its number in the
 * table of hazards), the mix of operations it is looked for with, and the rules that may catch it; any other rule
 * would mean that it was caught by accident.
 */
import type { ProfileName } from './profiles.ts'
import type { Rule } from './rules.ts'

export interface Seeded {
  readonly hazard: number
  readonly profile: ProfileName
  readonly rules: readonly Rule[]
}

const of = (hazard: number, profile: ProfileName, ...rules: Rule[]): Seeded => ({ hazard, profile, rules })

export const MUTANTS = {
  deleteClearsSlotWithoutTombstone: of(1, 'deletes', 'deleted-returned'),
  deleteOutsideArena: of(1, 'deletes', 'deleted-returned'),
  clearEpochOutsideArena: of(1, 'epochs', 'cleared-returned'),
  tagEpochOutsideArena: of(1, 'epochs', 'tagged-returned', 'lost-after-power'),
  touchOutsideArena: of(1, 'touchesKilled', 'expired-returned', 'lost-after-kill'),
  takeoverSkipsDirtyReplay: of(
    1,
    'deletes',
    'lost-after-kill',
    'lost-after-power',
    'rolled-back',
    'deleted-returned',
    'false-miss',
  ),
  takeoverForgetsEpochs: of(1, 'epochs', 'cleared-returned', 'tagged-returned'),
  tombstoneLeavesBeforeLowerDelete: of(1, 'deletes', 'deleted-returned'),
  expiredSkippedInFlush: of(2, 'expiry', 'expiry-uncovers'),
  expiredSkippedInReplay: of(2, 'replay', 'expiry-uncovers'),
  expiredDroppedInEviction: of(2, 'expiry', 'expiry-uncovers'),
  expiredDroppedInDemotion: of(2, 'demotion', 'expiry-uncovers', 'stale-returned'),
  readFallsThroughExpired: of(2, 'expiry', 'expiry-uncovers'),
  noneWithoutDurableDelete: of(3, 'none', 'none-uncovers'),
  noneCoverNotSynced: of(3, 'none', 'none-uncovers'),
  noneOverNoneForgetsOwedCover: of(3, 'none', 'none-uncovers'),
  coldMissWithoutToken: of(3, 'cover', 'false-miss'),
  coverErasesSpilledValue: of(3, 'spill', 'false-miss'),
  spilledNoneOutlivesArena: of(3, 'none', 'none-uncovers'),
  promoteIfAbsentWithoutToken: of(4, 'promotion', 'stale-returned', 'deleted-returned'),
  evictionKeepsToken: of(4, 'promotion', 'stale-returned', 'deleted-returned'),
  tokenComparedOutsideLock: of(4, 'promotion', 'stale-returned', 'deleted-returned'),
  readerSkipsValidation: of(5, 'recycling', 'never-written'),
  recycleBeforeUnpublish: of(
    5,
    'recycling',
    'never-written',
    'stale-returned',
    'tagged-returned',
    'false-miss',
  ),
  recycleIgnoresAppenders: of(
    5,
    'recycling',
    'never-written',
    'stale-returned',
    'tagged-returned',
    'false-miss',
  ),
  nearCacheComparesSlotWordOnly: of(6, 'recycling', 'stale-returned'),
  nearCacheIgnoresTags: of(7, 'recycling', 'tagged-returned', 'false-miss', 'stale-returned'),
  nearCacheIgnoresClear: of(7, 'near', 'cleared-returned', 'stale-returned'),
  changeCounterBumpedAfterEpoch: of(7, 'near', 'cleared-returned'),
  splitWithoutVersionRecheck: of(9, 'growth', 'false-miss'),
  splitWithoutLocks: of(9, 'growth', 'stale-returned', 'false-miss'),
  writerKeepsBucketOverSplit: of(9, 'growth', 'stale-returned', 'false-miss'),
  takeoverKeepsStraySlots: of(9, 'growthKilled', 'stale-returned'),
  unpublishBeforeFilterAdd: of(10, 'unpublish', 'false-miss'),
  filterRemovesOnDelete: of(10, 'filter', 'false-miss'),
  filterRebuildMissesAdds: of(10, 'rebuild', 'false-miss'),
  filterRebuildBeginsInsideMove: of(10, 'rebuild', 'false-miss'),
  filterEmptyAfterRestart: of(10, 'filter', 'lost-after-power'),
  filterAnswersForRemote: of(10, 'filter', 'false-miss'),
  clockOutsideLock: of(13, 'contention', 'rolled-back', 'stale-returned'),
  noClockCeiling: of(13, 'clock', 'version-order'),
  expiryByWallClock: of(13, 'clock', 'expired-returned'),
  fillIgnoresLeaseClock: of(14, 'fills', 'stale-fill'),
  fillIgnoresKeyChange: of(14, 'fills', 'stale-fill'),
  fillIgnoresEpochs: of(14, 'fills', 'stale-fill'),
  fillTakesNewerClock: of(14, 'fills', 'stale-fill'),
  dropAboveBeforeLowerSynced: of(15, 'demotion', 'lost-after-power'),
  tombstoneDropsBeforeLowerSynced: of(15, 'sweeping', 'deleted-returned'),
  sweepOutsideMoverQueue: of(15, 'drainingDeleted', 'deleted-returned'),
  syncAcknowledgedAtWrite: of(16, 'durability', 'rolled-back', 'lost-after-power'),
  groupPublishedUnmarked: of(17, 'groups', 'half-group-recovered'),
  groupLoggedHalfPublished: of(17, 'groups', 'half-group-recovered'),
  groupSplitOverBatches: of(17, 'groups', 'half-group-recovered'),
  tornBatchAccepted: of(17, 'groups', 'half-group-recovered'),
  groupReadWithoutSequence: of(17, 'groups', 'half-group-read'),
  addTrustsRamMiss: of(19, 'conditions', 'wrong-condition', 'stale-returned'),
  conditionWithoutToken: of(
    19,
    'conditions',
    'stale-returned',
    'deleted-returned',
    'expired-returned',
    'wrong-condition',
  ),
  touchRenewsBirth: of(20, 'touches', 'tagged-returned', 'cleared-returned'),
  drainByPosition: of(25, 'draining', 'stale-returned', 'rolled-back', 'deleted-returned'),
  drainRevivesDroppedKey: of(25, 'drainingDeleted', 'deleted-returned', 'stale-returned'),
  indexBeforeLogSync: of(26, 'draining', 'lost-after-power'),
  fileDeletedBeforeIndexSync: of(26, 'draining', 'lost-after-power'),
  readTrustsDeletedFile: of(26, 'demotion', 'false-miss'),
} satisfies Record<string, Seeded>

export type Mutant = keyof typeof MUTANTS
