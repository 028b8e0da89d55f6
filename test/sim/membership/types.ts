import type { MemberEvent, Membership, MembershipInput, MemberView, Profile } from '../../../membership/index.ts'
import type { Address, NodeId, NodeRecord } from '../../../protocol/index.ts'

/** A daemon that does not do its part, to show that the checkers notice. */
export type Fault =
  /** Its epoch is the same after every start, and it does not believe what others remember of it. */
  | 'epoch-not-persisted'
  /** It never dials a member that it holds for failed, nor anybody it knew in an earlier life. */
  | 'forgets-the-dead'
  /** It does not tell its machine of revocations. */
  | 'ignores-revocations'
  /** It never hears that it is suspected. */
  | 'never-refutes'
  /** Every second host does not hear of dismissals. */
  | 'ignores-dismissals'
  /** Signatures are not looked at, and somebody speaks for a member that was pruned. */
  | 'believes-forgeries'

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly profile?: Profile
  /** Share of frames, gossip hops and dials that are lost. */
  readonly loss?: number
  readonly fault?: Fault
  readonly intermittent?: number
  /**
   * Vitals of steady members say how a host is, and nothing of whether it is there. `synced`: they go to neighbours by anti-entropy and are
   * not gossiped; `never`: they are not said.
   */
  readonly vitals?: 'gossiped' | 'synced' | 'never'
  /** Called whenever a host tells of a member. */
  readonly onEvent?: (host: Host, of: Host, event: MemberEvent) => void
}

export interface Host {
  readonly index: number
  readonly id: NodeId
  address: Address
  readonly class: 'cloud' | 'intermittent'
  /** What survives a crash. */
  readonly disk: { epoch: number; peers: readonly (readonly [NodeId, readonly Address[]])[] }
  process: Process | undefined
  powered: boolean
  revoked: boolean
  left: boolean
  /** Somebody has pruned it as it was last heard, and it has not been started since: it must not come back to who has dropped it. */
  pruned: boolean
  /** Its newest record. */
  said: NodeRecord | undefined
  tags: Record<string, string>
  /** When it was last tampered with, or a link of it was cut or mended: judged by M2 only once it has had time to recover. */
  disturbedAt: number
  /** Nothing gets through to it, though what it says gets out. */
  deaf: boolean
  /** Share of what it is sent, and of what it sends, that is lost besides what is lost everywhere. */
  readonly loss: { in: number; out: number }
}

export interface Process {
  readonly host: Host
  readonly machine: Membership
  readonly links: Set<Link>
  /** Whom it holds for failed, and since when M2 could be asked about that. */
  readonly failed: Map<Host, number>
  wake: number
  pausedUntil: number
  held: MembershipInput[]
  /** Those that were pruned and that it lists no more. */
  readonly dropped: Set<Host>
}

export interface Link {
  readonly ends: readonly [Process, Process]
  /** Frames keep their order, each way. */
  readonly lastAt: [number, number]
}

/** Hosts with real membership machines on a virtual clock and a seeded network. The same seed gives the same run. */
export interface World {
  readonly hosts: readonly Host[]
  readonly now: number
  /** Sentences about invariants that did not hold at some time: M2, M3 and the machines' own. */
  readonly violations: readonly string[]
  /** Frames of links with their bytes, and copies of gossip with theirs. */
  readonly sent: { frames: number; bytes: number; gossip: number; gossipBytes: number }
  run(milliseconds: number): void
  /** Runs until it holds; throws with the seed when it does not in time. Returns how long it took. */
  until(what: string, holds: () => boolean, within: number): number
  start(host: Host): void
  /** Starts all hosts as a fleet that has long been assembled. */
  startTogether(): void
  /** kill -9. */
  crash(host: Host): void
  /** The cable is out: no resets, dials time out. */
  powerOff(host: Host): void
  /** SIGSTOP and, later, SIGCONT. */
  pause(host: Host, milliseconds: number): void
  leave(host: Host): void
  /** force-leave, asked of `by`. */
  dismiss(by: Host, host: Host, prune: boolean): void
  /** A member that keeps no rules dismisses one that lives, and everybody hears it. */
  slander(by: Host, host: Host): void
  move(host: Host): void
  revoke(host: Host): void
  retag(host: Host): void
  /** Nothing gets from one to the other; the other way stays open. */
  cut(from: Host, to: Host): void
  partition(sides: readonly (readonly Host[])[]): void
  heal(): void
  /** Nothing gets through to it any more, or does again. What it sends still gets out, until its connections break for want of answers. */
  deafen(host: Host, deaf: boolean): void
  /** From now on this share of frames, gossip hops and dials is lost by chance. */
  lose(share: number): void
  view(host: Host, of: Host): MemberView | undefined
  running(): Host[]
  /** Everybody who runs agrees on everybody, and those who run are alive to all: M1. */
  agreed(): boolean
  /** Says what does not agree, and no more of it than asked for. */
  disagreements(most?: number): string[]
}
