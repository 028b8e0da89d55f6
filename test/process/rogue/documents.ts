/** Takes the place of daemon/members/documents.ts in a daemon that passes on whatever it is given. */
export function checkDocument(): void {}
