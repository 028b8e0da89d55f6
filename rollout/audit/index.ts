export { allHeads, type HeadList, type KeptHead, NO_HEADS, type Taken, takeHead } from './heads.ts'
export { type Cause, causesOf } from './why.ts'
