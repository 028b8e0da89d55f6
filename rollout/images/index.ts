export { type BuildRequest, type Built, buildImage, contentOf } from './build.ts'
export {
  type ImageStore,
  type Metadata,
  openStore,
  type StoredImage,
  type VerifiedChunk,
  verifyChunk,
} from './store.ts'
export { tarOf } from './tar.ts'
export { unpackFile, unpackTree } from './unpack.ts'
