/** Just enough of a checker to say that generated XML is well-formed: nesting, quoting, escaping, unique attributes. */

const TAG = /<(\/?)([A-Za-z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/y
const TEXT = /[^<]+/y
const BARE_AMPERSAND = /&(?!(?:amp|lt|gt|quot|#\d+);)/

/** Names of all elements in order of appearance. Throws where the text is not well-formed. */
export function checkXml(xml: string): string[] {
  const elements: string[] = []
  const open: string[] = []
  if (BARE_AMPERSAND.test(xml)) throw new Error(`bare ampersand at ${xml.search(BARE_AMPERSAND)}`)
  let at = 0
  while (at < xml.length) {
    const [whole, isEnd, name, attributes, isEmpty] = match(TAG, xml, at) ?? match(TEXT, xml, at) ?? []
    if (whole === undefined) throw new Error(`not well-formed at ${at}: ${xml.slice(at, at + 60)}`)
    at += whole.length
    if (name === undefined) {
      if (open.length === 0 && whole.trim() !== '') throw new Error(`text outside the root: ${whole}`)
    } else if (isEnd === '/') {
      if (open.pop() !== name) throw new Error(`</${name}> closes nothing`)
    } else {
      checkAttributes(name, attributes ?? '')
      elements.push(name)
      if (isEmpty === '') open.push(name)
    }
  }
  if (open.length > 0) throw new Error(`<${open.join('><')}> left open`)
  return elements
}

function checkAttributes(element: string, attributes: string): void {
  const names = Array.from(attributes.matchAll(/([\w:-]+)="/g), ([, name]) => name)
  if (new Set(names).size !== names.length) throw new Error(`<${element}> repeats an attribute`)
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}
