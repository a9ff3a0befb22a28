export {
  type MetricMeter,
  type MetricResult,
  type MetricText,
  observeExecutors,
} from './observe-executors.ts'
