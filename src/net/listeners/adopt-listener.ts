import { executor, OwnedDescriptor } from '../../executor/index.ts'
import { netRingFor } from '../memory/net-ring.ts'
import type { Address } from '../values/address.ts'
import {
  joinListener,
  type ListenerShare,
  listeningAddress,
  validateShare,
} from '../values/share-listener.ts'
import type { ListeningSocket } from './stream-listener.ts'

/** A socket of this thread: of those that share it, or by a descriptor that came from elsewhere. */
export function adoptListening(
  from: ListenerShare | OwnedDescriptor,
  kind: ListenerShare['kind'],
): ListeningSocket<Address> {
  const action = 'adopt a listener'
  const isOwned = from instanceof OwnedDescriptor
  if (!isOwned) validateShare(action, from, kind)
  const current = executor()
  current.assertOpen(action)
  const descriptorKind = kind === 'TcpListener' ? 'tcpListener' : 'unixListener'
  if (isOwned) from.assertTakeable(current, action, descriptorKind)
  const net = netRingFor(current, current.currentQueue())
  const fd = isOwned ? from.take() : joinListener(current, from, action)
  const socket = { net, fd, address: listeningAddress(current, fd) }
  return isOwned ? { ...socket, isElsewhere: true } : { ...socket, shareName: from.name }
}
