/** Names of namespaces, and what is known about them before they are used. */
import { show } from '../base/errors.ts'
import { configError } from '../config/fields.ts'
import { checkNamespaceName } from '../config/open-options.ts'

/** The namespace of the cache that `open` returns. */
export const defaultNamespace = 'default'

const separator = '/'

/**
 * The full name of `name` seen from `parent`. The separator may not stand in `name`: then two different ways of
 * nesting never meet in one key space.
 */
export function nestedName(parent: string, name: string): string {
  if (typeof name === 'string' && name.includes(separator)) {
    throw configError(
      `a namespace name must not contain ${show(separator)}, which joins nested names: ${show(name)}`,
    )
  }
  return checkNamespaceName(
    parent === defaultNamespace ? name : `${parent}${separator}${checkNamespaceName(name)}`,
  )
}
