export { Deadline } from '../executor/index.ts'
