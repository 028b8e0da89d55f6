// The daemon's configuration: flags over environment over files over defaults, checked once and whole.
// What is wrong is refused with where it stands, what was found and what was expected.
// It knows settings alone; nothing here opens, starts or connects.
export { type Loaded, loadConfig } from './load.ts'
export { type Changes, changedTags, changesBetween } from './reload.ts'
export { type Config, DEFAULT_LABELS, defaultDataDir } from './schema.ts'
