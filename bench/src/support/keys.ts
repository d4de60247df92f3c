/** Keys and values of the benchmarks. */

export const SEED = 20260101

/** Numerical Recipes' linear congruential generator: fast, and the same everywhere. */
export function random(seed = SEED): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
}

/** 16 ASCII bytes. */
export function keyOf(index: number): string {
  return `key:${String(index).padStart(12, '0')}`
}

/** Keys as a server gets them: each one a new string that V8 has never hashed. */
export function freshKeys(count: number, range: number, next = random()): string[] {
  const keys = new Array<string>(count)
  for (let index = 0; index < count; index++) {
    keys[index] = Buffer.from(keyOf(next() % range), 'latin1').toString('latin1')
  }
  return keys
}

export function value100(index: number): string {
  return String(index).padStart(100, 'v')
}

/** About 1 KiB as msgpack: a row of the kind an API answers with. */
export function object1k(index: number): Record<string, unknown> {
  const address = `${index & 255}.${(index >> 8) & 255}.${(index >> 16) & 255}.1`
  return {
    id: index,
    address,
    provider: `Provider number ${index % 977}`,
    organisation: `An organisation with a rather long name, branch ${index % 131}`,
    asn: 64512 + (index % 1000),
    continent: 'Europe',
    country: 'Germany',
    isocode: 'DE',
    region: 'Hesse',
    city: 'Frankfurt am Main',
    latitude: 50.1109 + index / 1e7,
    longitude: 8.6821 - index / 1e7,
    isProxy: index % 7 === 0,
    type: 'Hosting',
    risk: index % 100,
    lastSeen: 1760000000000 + index,
    operator: {
      name: `Operator ${index % 17}`,
      url: `https://operator-${index % 17}.example/about/us`,
      email: `abuse@operator-${index % 17}.example`,
      policies: ['no-logs', 'paid', 'anonymous', 'port-forwarding'],
    },
    history: Array.from({ length: 6 }, (_, day) => ({
      day: `2026-01-0${day + 1}`,
      queries: (index * 7 + day) % 5000,
      attacks: (index + day) % 50,
      sources: ['scan', 'spam', 'login'],
    })),
    tags: ['datacenter', 'vpn', 'tor', 'crawler', 'bot', 'mail'],
    note: 'x'.repeat(160),
  }
}
