/**
 * Mixes of operations. `everything` asks for all of it; the others leave out what their hazards do not need, and some
 * tell a story: the sequence in which a hazard can show, left to chance in its pauses, gaps and neighbours.
 */
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
const STORY = { words: { story: 1 } }

/** A key comes to lie in a log file that is no longer the newest. */
const AGEING: readonly Word[] = ['set', 'settle', 'setOther', 'settle', 'setOther', 'settle']

/** A key is read from below while it is written and goes down again. */
const OVERTAKEN: readonly Word[] = ['set', 'settle', 'get', 'set', 'settle', 'get']

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
    slow: ['get', 'drain'],
  },
  deletes: {
    ...BASE,
    words: { ...FLOW, story: 1, set: 4, delete: 4, get: 2, flush: 1, kill: 2, power: 1 },
    story: ['set', 'settle', 'evict', 'delete', 'get'],
    slow: ['evict'],
  },
  epochs: {
    ...BASE,
    words: { set: 4, settle: 3, invalidateTag: 2, clear: 1, get: 2, kill: 3, power: 2 },
    tagChance: 0.7,
  },
  touches: { ...BASE, ...STORY, story: ['set', 'clear', 'touch', 'get'], items: 12, slow: ['clear'] },
  touchesKilled: {
    ...BASE,
    ...STORY,
    story: ['set', 'touch', 'wait', 'kill'],
    keys: 1,
    items: 20,
    ttlChance: 0.5,
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
  replay: {
    ...BASE,
    ...STORY,
    story: ['set', 'settle', 'set', 'flush', 'wait', 'wait', 'power', 'get'],
    items: 20,
    ttlChance: 0.5,
  },
  none: {
    ...BASE,
    words: { ...FLOW, story: 1, set: 4, get: 1, delete: 1, kill: 1, power: 1 },
    story: ['set', 'settle', 'set', 'set', 'power'],
    durability: [3, 2, 0],
  },
  cover: { ...BASE, ...STORY, story: OVERTAKEN, keys: 1, durability: [1, 1, 0], slow: ['get'] },
  spill: {
    ...BASE,
    ...STORY,
    story: ['set', 'settle', 'set', 'evict', 'settle', 'get'],
    keys: 1,
    items: 20,
    durability: [1, 1, 0],
    slow: ['set', 'evict'],
  },
  promotion: {
    ...BASE,
    words: { story: 4, set: 1, delete: 1, settle: 1 },
    story: OVERTAKEN,
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
  growthKilled: {
    ...BASE,
    ...STORY,
    story: ['set', 'set', 'split', 'kill', 'set', 'split', 'get'],
    keys: 4,
    slow: ['split'],
  },
  filter: {
    ...BASE,
    words: { set: 4, get: 6, delete: 2, settle: 4, sweep: 3, rebuildFilter: 1, remotePut: 1, power: 1 },
    keys: 4,
  },
  unpublish: { ...BASE, words: { set: 4, get: 8, evict: 4 }, items: 20, slow: ['evict'] },
  rebuild: {
    ...BASE,
    ...STORY,
    story: ['set', 'flush', 'checkpoint', 'rebuildFilter', 'settle', 'get'],
    items: 14,
    slow: ['checkpoint', 'rebuildFilter'],
  },
  clock: { ...BASE, words: { ...FLOW, set: 6, get: 4, wait: 3, stepBack: 2, power: 1 }, ttlChance: 0.3 },
  contention: {
    ...BASE,
    ...STORY,
    story: ['set', 'set', 'settle', 'get', 'get', 'get', 'settle', 'power'],
    keys: 1,
    items: 20,
    slow: ['set'],
  },
  fills: {
    ...BASE,
    words: { lease: 5, set: 2, delete: 3, clear: 1, invalidateTag: 3, get: 4, evict: 1 },
    items: 20,
    tagChance: 0.7,
    slow: ['fill'],
  },
  demotion: {
    ...BASE,
    words: { story: 1, set: 4, get: 3, settle: 1, sink: 3, drain: 2, wait: 2, power: 1 },
    story: [...AGEING, 'get', 'drain', 'drain', 'get', 'drain'],
    items: 60,
    ttlChance: 0.3,
    slow: ['get'],
  },
  sweeping: {
    ...BASE,
    ...STORY,
    story: [...AGEING, 'drain', 'delete', 'settle', 'sweep', 'settle', 'get', 'power'],
    items: 40,
    touchChance: 0,
  },
  draining: {
    ...BASE,
    ...STORY,
    story: [...AGEING, 'drain', 'set', 'settle', 'drain', 'power'],
    items: 40,
    touchChance: 0.8,
    slow: ['drain'],
  },
  drainingDeleted: {
    ...BASE,
    ...STORY,
    story: [...AGEING, 'drain', 'delete', 'settle', 'sweep', 'settle', 'get'],
    items: 40,
    touchChance: 0.8,
    slow: ['drain'],
  },
  groups: {
    ...BASE,
    words: { story: 2, setMany: 2, set: 1, getMany: 2, write: 1, power: 1 },
    story: ['setMany', 'getMany', 'setMany', 'write', 'kill', 'setMany', 'set', 'write', 'power'],
    keys: 3,
    items: 20,
    slow: ['getMany'],
  },
} satisfies Record<string, Profile>

export type ProfileName = keyof typeof PROFILES
