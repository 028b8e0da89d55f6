/** True in the scripts that have the time for all of it (`npm run test:netns`, `npm run test:swarm`); `npm test` has time for a slice alone. */
export const FULL = process.env.FLEETD_TEST_FULL === '1'
