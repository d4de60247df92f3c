/** Promises that a caller may lose interest in. */

/** What was promised, or the reason of the signal if that comes first. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    const settled = () => signal.removeEventListener('abort', abort)
    signal.addEventListener('abort', abort)
    promise.then(resolve, reject).finally(settled)
    if (signal.aborted) abort()
  })
}
