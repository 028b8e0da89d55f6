// Images in files: written for hosts that no network reaches, and read there. What a bundle says is believed no more than what a
// peer says: policies, signatures, index and chunks are each verified before they count. Loaded by whoever is asked for one.

export { exportImage, importImage } from './bundles.ts'
