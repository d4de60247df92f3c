/** "Did you mean": the known word nearest to a mistyped one. */

/** A typo or two in a word, one in a short one; farther away it is another word. */
function distanceMax(word: string): number {
  return word.length <= 4 ? 1 : 2
}

/** `; did you mean X?`, or nothing when nothing is near. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = known
    .map((candidate) => ({ candidate, distance: distance(word, candidate) }))
    .filter(({ candidate, distance }) => distance <= distanceMax(word) || isPrefix(word, candidate))
    .sort((a, b) => a.distance - b.distance)[0]
  return near === undefined ? '' : `; did you mean ${near.candidate}?`
}

function isPrefix(word: string, candidate: string): boolean {
  return word.length >= 2 && candidate.startsWith(word)
}

/** Edits between two words: insert, remove, replace, swap neighbours (optimal string alignment). */
function distance(a: string, b: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1]
      const isSwapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      current[column] = Math.min(
        (previous[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (previous[column - 1] as number) + (isSame ? 0 : 1),
        isSwapped ? (beforePrevious[column - 2] as number) + 1 : Infinity,
      )
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length] as number
}
