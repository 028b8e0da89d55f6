export { type BuildRequest, type Built, buildImage, contentOf, storeContent } from './build.ts'
export { addOciImage, type Blob, type Span, spansOf, unpackLayout } from './oci.ts'
export { type Descriptor, MAX_DOCUMENT, MEDIA_TYPE, type OciDocument, parseDocument } from './oci-document.ts'
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
