// The commands that use a key. They bring the schemas and codecs of what is signed with them, which take longer to load
// than most commands take to run: this folder is one file of the build, loaded only when one of them is asked for.
export { verifyFile } from './audit-file.ts'
export { run as imageBuild } from './image-build.ts'
export { run as init } from './init.ts'
export { run as invite } from './invite.ts'
export { run as keyNew } from './key-new.ts'
export { run as keyShow } from './key-show.ts'
export { hotfix, taint } from './mark.ts'
export { run as revoke } from './revoke.ts'
export { orders } from './rollout-order.ts'
export { run as rolloutStart } from './rollout-start.ts'
export { run as undo } from './undo.ts'
export { run as writeOff } from './write-off.ts'
