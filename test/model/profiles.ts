/** Mixes of operations. `everything` asks for all of it; the others leave out what their hazards do not need. */
import type { Profile, Word } from './schedule.ts'

const BASE: Profile = {
  words: {},
  story: [],
  keys: 2,
  items: 30,
  ttlChance: 0,
  tagChance: 0,
  durability: [0, 1, 0],
  promoteChance: 0.3,
  touchChance: 0.4,
  slow: [],
}

const FLOW = { write: 2, checkpoint: 1, evict: 2, settle: 1 }

/** A key comes to lie in a log file that is no longer the newest. */
const AGEING: readonly Word[] = ['set', 'settle', 'setOther', 'settle', 'setOther', 'settle']

export const PROFILES = {
  everything: {
    ...BASE,
    words: {
      ...{ set: 8, get: 8, delete: 4, add: 2, touch: 2, setMany: 2, getMany: 2, near: 3, lease: 2 },
      ...{ invalidateTag: 1, clear: 1, remotePut: 1, flush: 1, wait: 4, stepBack: 1, kill: 1, power: 1 },
      ...{ ...FLOW, drain: 3, sweep: 2, split: 2, rebuildFilter: 1 },
    },
    keys: 5,
    items: 60,
    ttlChance: 0.3,
    tagChance: 0.3,
    durability: [2, 5, 2],
    promoteChance: 0.4,
    touchChance: 0.4,
    slow: ['get', 'drain'],
  },
  deletes: {
    ...BASE,
    words: { ...FLOW, set: 4, delete: 4, get: 2, flush: 1, kill: 2, power: 1 },
    slow: ['evict'],
  },
  epochs: {
    ...BASE,
    words: { set: 4, settle: 3, invalidateTag: 2, clear: 1, get: 2, kill: 3, power: 2 },
    tagChance: 0.7,
  },
  touches: {
    ...BASE,
    words: { set: 3, touch: 5, invalidateTag: 3, clear: 1, wait: 2, kill: 2, get: 3 },
    keys: 1,
    ttlChance: 0.3,
    tagChance: 0.7,
    slow: ['touch', 'invalidateTag', 'clear'],
  },
  durability: { ...BASE, words: { ...FLOW, set: 6, get: 2, kill: 1, power: 2 }, durability: [0, 1, 2] },
  expiry: {
    ...BASE,
    words: { story: 2, set: 4, settle: 2, write: 2, get: 2, wait: 3, kill: 1, power: 2 },
    story: ['set', 'settle', 'set', 'write', 'wait', 'evict', 'evict', 'get'],
    keys: 1,
    items: 40,
    ttlChance: 0.5,
  },
  none: { ...BASE, words: { ...FLOW, set: 6, get: 2, delete: 1, kill: 1, power: 2 }, durability: [3, 2, 0], slow: ['set'] },
  cover: {
    ...BASE,
    words: { set: 5, get: 5, settle: 3, evict: 2 },
    keys: 1,
    durability: [2, 1, 0],
    slow: ['get', 'set'],
  },
  promotion: {
    ...BASE,
    words: { set: 4, get: 6, delete: 1, settle: 4 },
    keys: 1,
    promoteChance: 0.9,
    slow: ['get'],
  },
  conditions: {
    ...BASE,
    words: { set: 3, get: 2, delete: 2, add: 3, touch: 3, settle: 4 },
    keys: 1,
    slow: ['add', 'touch'],
  },
  recycling: {
    ...BASE,
    words: { set: 8, get: 6, near: 8, evict: 6, invalidateTag: 2 },
    items: 40,
    tagChance: 0.3,
    slow: ['get'],
  },
  near: { ...BASE, words: { set: 2, near: 8, clear: 2 }, keys: 1, items: 16, slow: ['clear'] },
  growth: { ...BASE, words: { set: 6, get: 8, split: 5 }, keys: 5, items: 24, slow: ['get', 'split'] },
  growthKilled: { ...BASE, words: { set: 5, get: 4, split: 6, kill: 4 }, keys: 5, slow: ['split'] },
  filter: {
    ...BASE,
    words: { set: 4, get: 6, delete: 2, settle: 4, sweep: 3, rebuildFilter: 1, remotePut: 1, power: 1 },
    keys: 4,
  },
  unpublish: { ...BASE, words: { set: 4, get: 8, evict: 4 }, items: 20, slow: ['evict'] },
  rebuild: {
    ...BASE,
    words: { set: 4, get: 4, write: 2, checkpoint: 3, rebuildFilter: 3, evict: 4 },
    items: 40,
    slow: ['checkpoint'],
  },
  clock: { ...BASE, words: { ...FLOW, set: 6, get: 4, wait: 3, stepBack: 2, power: 1 }, ttlChance: 0.3 },
  contention: { ...BASE, words: { set: 6, get: 4, settle: 3, power: 1 }, keys: 1, slow: ['set'] },
  fills: {
    ...BASE,
    words: { lease: 5, set: 2, delete: 3, clear: 1, invalidateTag: 3, get: 4, evict: 1 },
    tagChance: 0.7,
    slow: ['fill'],
  },
  demotion: {
    ...BASE,
    words: { set: 6, get: 4, settle: 2, sink: 4, drain: 3, wait: 3, power: 1 },
    items: 60,
    ttlChance: 0.3,
    slow: ['get'],
  },
  sweeping: {
    ...BASE,
    words: { story: 1 },
    story: [...AGEING, 'drain', 'delete', 'settle', 'sweep', 'settle', 'get', 'power'],
    items: 40,
    touchChance: 0,
    slow: ['drain'],
  },
  reviving: {
    ...BASE,
    words: { story: 1 },
    story: [...AGEING, 'drain', 'delete', 'settle', 'sweep', 'settle', 'get'],
    items: 40,
    touchChance: 1,
    slow: ['drain'],
  },
  draining: {
    ...BASE,
    words: { story: 1, set: 1, write: 1, settle: 1, drain: 1 },
    story: [...AGEING, 'drain', 'set', 'settle', 'drain', 'power'],
    items: 40,
    touchChance: 0.8,
    slow: ['drain'],
  },
  groups: {
    ...BASE,
    words: { ...FLOW, setMany: 6, set: 2, getMany: 6, kill: 1, power: 2 },
    keys: 3,
    items: 24,
  },
} satisfies Record<string, Profile>

export type ProfileName = keyof typeof PROFILES
