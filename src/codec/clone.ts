/**
 * The other form of objects: V8's structured clone, for the values msgpackr does not give back as they were (see
 * `snapshot.ts`). It knows all of them, and needs a name in every place it stands. A later V8 reads what an earlier one
 * wrote; the reverse is not promised.
 */
import { DefaultDeserializer, serialize } from 'node:v8'

/** `bare` are the objects in `value` that have no prototype: a clone keeps who is who, but no prototypes. */
export function packClone(value: object, bare: readonly object[]): Buffer {
  return serialize([value, bare])
}

/** Throws for what is no clone. The result shares no memory with the source. */
export function unpackClone(source: Buffer, start: number, end: number): unknown {
  const deserializer = new CopyingDeserializer(source.subarray(start, end))
  deserializer.readHeader()
  const pair = deserializer.readValue()
  if (!Array.isArray(pair) || !Array.isArray(pair[1])) throw new Error('it is another clone')
  for (const object of pair[1]) Object.setPrototypeOf(object, null)
  return pair[0]
}

type ReadHostObject = (this: DefaultDeserializer) => ArrayBufferView
const readView = (DefaultDeserializer.prototype as unknown as { _readHostObject: ReadHostObject })
  ._readHostObject

/** The default makes views of the source. */
class CopyingDeserializer extends DefaultDeserializer {
  /** Called by V8 for Buffers, typed arrays and DataViews. */
  _readHostObject(): ArrayBufferView {
    const view = readView.call(this)
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice()
    if (Buffer.isBuffer(view)) return Buffer.from(bytes.buffer)
    const Class = view.constructor as new (buffer: ArrayBuffer) => ArrayBufferView
    return new Class(bytes.buffer)
  }
}
