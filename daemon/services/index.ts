// What hosts offer to others: named services with a port, health and a weight that is 0 before they stop.
// A host's own come from its configuration and its layers; those of others from their records.
// It opens no socket but those of its checks; DNS and the API show what it knows.
export { hostsOf, instancesOf, isAvailable, scrapeTargets } from './catalogue.ts'
export { type ServicesConfig, servicesSchema } from './config.ts'
export { createServices, type Services } from './services.ts'
