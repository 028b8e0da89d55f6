import { createWorld } from './membership-world.ts'
const n=+process.argv[2]!, secs=+process.argv[3]!
let t=performance.now()
const lap=(w:string)=>{console.log(w,((performance.now()-t)/1000).toFixed(2),'s', (process.memoryUsage().rss/1e6).toFixed(0),'MB', (process.memoryUsage().heapUsed/1e6).toFixed(0),'heap');t=performance.now()}
const world=createWorld({seed:1,nodes:n})
lap('hosts')
world.startTogether(); lap('start')
world.run(5000); lap('run5')
world.run(secs*1000); lap('run'+secs)
console.log(world.sent, world.violations.slice(0,3))
console.log('agreed', world.agreed()); lap('agree')
