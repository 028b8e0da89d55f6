// Every comparison, one after another: `npm run bench`.
await import('./cli.ts')
await import('./idle.ts')
