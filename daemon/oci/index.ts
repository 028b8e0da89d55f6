// A registry of the OCI distribution-spec, for podman, containerd, skopeo and their like. What is pushed to it becomes an image of the
// fleet; what is pulled comes from whoever has it, chunk by chunk, to the byte. It is loaded by daemons with --oci alone.
export { createRegistry, type Registry, type RegistryInit } from './registry.ts'
