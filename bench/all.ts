// Every comparison, one after another: `npm run bench`. A module's top-level await keeps the next one waiting.
import './cli.ts'
import './idle.ts'
import './members.ts'
