export {
  BacklogController,
  type BacklogControllerOptions,
  type BacklogPoint,
} from './backlog-controller.ts'
export {
  DeadlineQueue,
  type DeadlineQueueOptions,
  type DeadlineQueueStatus,
} from './deadline-queue.ts'
export { type ControllerStatus, PriorityBump } from './share-override.ts'
export type { DeadlineSource } from './work-item.ts'
