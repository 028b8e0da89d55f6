export { type BuildRequest, type Built, buildImage, contentOf, storeContent } from './build.ts'
export {
  BUNDLE_MAGIC,
  type BundledKind,
  type BundleHead,
  type BundlePart,
  type BundleParts,
  type BundleSource,
  bundleOf,
  readBundle,
} from './bundle.ts'
export { openBundleFile } from './bundle-file.ts'
export { HEADROOM } from './chunks.ts'
export { type Collection, type CollectOptions, decideCollection, RECENT, type StoreState } from './collect.ts'
export { type Difference, type Drift, driftOf } from './drift.ts'
export { addOciImage, type Blob, type Span, spansOf, unpackLayout } from './oci.ts'
export { type Descriptor, MAX_DOCUMENT, MEDIA_TYPE, type OciDocument, parseDocument } from './oci-document.ts'
export { type Amount, createSpace, type Space, type SpaceInit, type SpaceLimits, type SpaceUse } from './space.ts'
export { type Hold, type ImageStore, type Metadata, openStore, type StoredImage } from './store.ts'
export { tarOf } from './tar.ts'
export { unpackFile, unpackTree } from './unpack.ts'
export { type VerifiedChunk, verifyChunk } from './verified.ts'
