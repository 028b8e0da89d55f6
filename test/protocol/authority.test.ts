import { describe, expect, it } from 'vitest'
import {
  type Authority,
  approvalsMissing,
  assertWithinInvite,
  authorityFrom,
  CERTIFICATE,
  checkCertificate,
  cosign,
  type Digest,
  ENDORSEMENT,
  EVENT,
  generateKeyPair,
  INVITE,
  isPublisher,
  type KeyPair,
  LIMITS,
  NO_GATES,
  type NodeId,
  nodeIdOf,
  ORDER,
  openEvent,
  openOrder,
  openPlan,
  openRecord,
  openSuspicion,
  openVitals,
  PLAN,
  type Plan,
  POLICY,
  RECORD,
  REVOCATION,
  SUSPICION,
  sign,
  VITALS,
  withKeptRevocation,
  withPolicy,
  withRevocation,
} from '../../protocol/index.ts'
import { at, fleet, HOUR, keys, NOW, nextPolicy, node, policy, record, refusal, signedRecord, thrown } from './fleet.ts'

const unauthorized = (message?: RegExp): object => refusal('unauthorized', message)

describe('a policy chain', () => {
  it('begins with policy 1, whose digest names the fleet', () => {
    const home = fleet()
    expect(home.authority.fleet).toBe(home.first.id)
    expect(home.authority.policy.version).toBe(1)
    expect(authorityFrom([home.first.bytes], home.id).fleet).toBe(home.id)
  })

  it('of another fleet is not taken for the one that was expected', () => {
    expect(thrown(() => authorityFrom([fleet().first.bytes], fleet().id))).toEqual(unauthorized(/is that of fleet/))
  })

  it('does not begin with nothing, with a later policy or with one that names a fleet', () => {
    const operator = generateKeyPair()
    const home = fleet(operator)
    expect(thrown(() => authorityFrom([]))).toEqual(refusal('bad-input'))
    const second = nextPolicy(home, home.first, [operator], [operator])
    expect(thrown(() => authorityFrom([second.bytes]))).toEqual(unauthorized(/another fleet/))
    const late = sign(POLICY, '', NOW, policy([operator], { version: 2 }), [operator])
    expect(thrown(() => authorityFrom([late.bytes]))).toEqual(unauthorized(/begins with policy 1/))
    const orphan = sign(POLICY, '', NOW, policy([operator], { previous: 'a'.repeat(64) as Digest }), [operator])
    expect(thrown(() => authorityFrom([orphan.bytes]))).toEqual(unauthorized(/begins with policy 1/))
  })

  it('needs the threshold of its own operators at policy 1', () => {
    const [a, b, c, stranger] = keys(4) as [KeyPair, KeyPair, KeyPair, KeyPair]
    const first = (signers: KeyPair[]): Uint8Array =>
      sign(POLICY, '', NOW, policy([a, b, c], { threshold: 2 }), signers).bytes
    expect(authorityFrom([first([a, c])]).policy.threshold).toBe(2)
    expect(thrown(() => authorityFrom([first([a])]))).toEqual(unauthorized(/1 of the 2 signatures/))
    expect(thrown(() => authorityFrom([first([a, stranger])]))).toEqual(unauthorized(/1 of the 2 signatures/))
    const never = sign(POLICY, '', NOW, policy([a], { threshold: 2 }), [a])
    expect(thrown(() => authorityFrom([never.bytes]))).toEqual(unauthorized(/threshold 2 is more than its 1 operators/))
  })

  it('goes on only with the threshold of the policy before and with that of the new one', () => {
    const [a, b, c, d] = keys(4) as [KeyPair, KeyPair, KeyPair, KeyPair]
    const first = sign(POLICY, '', NOW, policy([a, b], { threshold: 2 }), [a, b])
    const authority = authorityFrom([first.bytes])
    const home = { operator: a, first, authority, id: authority.fleet }
    const second = (signers: KeyPair[]): Uint8Array => nextPolicy(home, first, [c, d], signers, { threshold: 2 }).bytes
    expect(withPolicy(authority, second([a, b, c, d])).policy.operators).toEqual([c.publicKey, d.publicKey])
    for (const signers of [
      [a, b],
      [a, b, c],
      [c, d],
      [a, c, d],
      [b, d],
    ])
      expect(thrown(() => withPolicy(authority, second(signers)))).toEqual(unauthorized(/of the 2 signatures/))
    const gathered = cosign(POLICY, cosign(POLICY, nextPolicy(home, first, [c], [a]), b), c)
    expect(withPolicy(authority, gathered.bytes).policy.version).toBe(2)
  })

  it('skips no policy, takes none twice, and takes no other in the place of one', () => {
    const operator = generateKeyPair()
    const home = fleet(operator)
    const second = nextPolicy(home, home.first, [operator], [operator])
    const rival = nextPolicy(home, home.first, [operator], [operator], { nonce: 2 })
    const third = nextPolicy(home, second, [operator], [operator])
    const now = withPolicy(home.authority, second.bytes)
    expect(withPolicy(now, second.bytes)).toBe(now)
    expect(withPolicy(home.authority, home.first.bytes)).toBe(home.authority)
    expect(withPolicy(now, third.bytes).policy.version).toBe(3)
    for (const [authority, bytes] of [
      [home.authority, third.bytes],
      [now, rival.bytes],
      [withPolicy(now, third.bytes), second.bytes],
    ] as [Authority, Uint8Array][])
      expect(thrown(() => withPolicy(authority, bytes))).toEqual(refusal('conflict', /does not follow/))
    expect(authorityFrom([home.first.bytes, second.bytes, third.bytes]).policy.version).toBe(3)
    expect(thrown(() => authorityFrom([home.first.bytes, third.bytes, second.bytes]))).toEqual(refusal('conflict'))
  })

  it('takes nothing from another fleet, and is not changed by what it refuses', () => {
    const home = fleet()
    const away = fleet()
    const foreign = nextPolicy(away, away.first, [away.operator], [away.operator, home.operator])
    expect(thrown(() => withPolicy(home.authority, foreign.bytes))).toEqual(unauthorized(/another fleet/))
    expect(home.authority.chain).toHaveLength(1)
  })

  it('names voters that can have a majority, each once', () => {
    const operator = generateKeyPair()
    const voters = keys(4).map(key => nodeIdOf(key.publicKey))
    const chain = (genesisVoters: NodeId[]): Uint8Array[] => [
      sign(POLICY, '', NOW, policy([operator], { groups: { web: { genesisVoters } } }), [operator]).bytes,
    ]
    expect(authorityFrom(chain(voters.slice(0, 3)))).toBeDefined()
    for (const wrong of [[], voters.slice(0, 2), voters, [voters[0]!, voters[0]!, voters[1]!]])
      expect(thrown(() => authorityFrom(chain(wrong)))).toEqual(refusal('corrupt'))
  })
})

describe('a certificate', () => {
  it('gives its node a place through the invite that an operator signed', () => {
    const home = fleet()
    const member = node(home, { group: 'web' })
    const admitted = checkCertificate(home.authority, member.certificate, NOW)
    expect(admitted).toMatchObject({ node: member.id, fresh: true })
    expect(admitted.invite.body.group).toBe('web')
  })

  it('is fresh until its invite expires, and holds after that for those who know it', () => {
    const home = fleet()
    const member = node(home)
    expect(checkCertificate(home.authority, member.certificate, at(HOUR)).fresh).toBe(true)
    expect(checkCertificate(home.authority, member.certificate, at(HOUR + 1)).fresh).toBe(false)
  })

  it('does not hang from the invite of a stranger or of another fleet', () => {
    const home = fleet()
    const stranger = node(home, {}, generateKeyPair())
    expect(thrown(() => checkCertificate(home.authority, stranger.certificate, NOW))).toEqual(
      unauthorized(/not signed by an operator/),
    )
    const away = fleet(home.operator, { nonce: 2 })
    const foreign = node(away)
    expect(thrown(() => checkCertificate(home.authority, foreign.certificate, NOW))).toEqual(
      unauthorized(/another fleet/),
    )
    const smuggled = sign(CERTIFICATE, home.id, NOW, { node: foreign.id, invite: foreign.invite.bytes }, [
      foreign.inviteKey,
    ])
    expect(thrown(() => checkCertificate(home.authority, smuggled.bytes, NOW))).toEqual(
      unauthorized(/invite\/1: belongs to another fleet/),
    )
  })

  it('is signed with the key of its invite, alone', () => {
    const home = fleet()
    const member = node(home)
    const other = node(home)
    const body = { node: member.id, invite: member.invite.bytes }
    for (const signers of [[other.inviteKey], [home.operator], [member.key], [member.inviteKey, other.inviteKey]])
      expect(
        thrown(() => checkCertificate(home.authority, sign(CERTIFICATE, home.id, NOW, body, signers).bytes, NOW)),
      ).toEqual(unauthorized(/not signed with the key of its invite/))
  })

  it('carries an invite and nothing else', () => {
    const home = fleet()
    const { inviteKey, id } = node(home)
    for (const invite of [new Uint8Array(), home.first.bytes, Uint8Array.of(0xc0)]) {
      const made = sign(CERTIFICATE, home.id, NOW, { node: id, invite }, [inviteKey])
      expect(thrown(() => checkCertificate(home.authority, made.bytes, NOW))).toEqual(refusal('corrupt'))
    }
  })

  it('outlives the operator who let it in; the operator who was removed lets in nobody new', () => {
    const operator = generateKeyPair()
    const successor = generateKeyPair()
    const home = fleet(operator)
    const member = node(home)
    const second = nextPolicy(home, home.first, [successor], [operator, successor])
    const now = withPolicy(home.authority, second.bytes)
    expect(checkCertificate(now, member.certificate, NOW)).toMatchObject({ node: member.id, fresh: false })
    const late = node(home, { expires: at(1000 * HOUR) }, operator)
    expect(checkCertificate(now, late.certificate, NOW).fresh).toBe(false)
    expect(checkCertificate(now, node(home, {}, successor).certificate, NOW).fresh).toBe(true)
    // And nobody takes the successor's word before having the policy that names it.
    expect(thrown(() => checkCertificate(home.authority, node(home, {}, successor).certificate, NOW))).toEqual(
      unauthorized(/not signed by an operator/),
    )
  })
})

describe('a revocation', () => {
  const revoke = (home: ReturnType<typeof fleet>, id: NodeId, signer = home.operator): Uint8Array =>
    sign(REVOCATION, home.id, NOW, { node: id, reason: 'stolen' }, [signer]).bytes

  it('puts a node out for good: its certificate, record, vitals and suspicions', () => {
    const home = fleet()
    const member = node(home)
    const other = node(home)
    const after = withRevocation(home.authority, revoke(home, member.id))
    const body = {
      node: member.id,
      epoch: 1,
      seq: 1,
      health: 'passing' as const,
      reason: '',
      layers: [],
      images: [],
      taint: [],
    }
    const vitals = sign(VITALS, home.id, NOW, body, [member.key]).bytes
    const suspicion = sign(
      SUSPICION,
      home.id,
      NOW,
      { subject: other.id, epoch: 1, seq: 1, evidence: 'silence', since: NOW },
      [member.key],
    ).bytes
    expect(openVitals(home.authority, vitals, NOW).body.node).toBe(member.id)
    expect(openSuspicion(home.authority, suspicion, NOW).body.subject).toBe(other.id)
    expect(thrown(() => checkCertificate(after, member.certificate, NOW))).toEqual(unauthorized(/revoked: stolen/))
    expect(thrown(() => openRecord(after, signedRecord(home, member), NOW))).toEqual(unauthorized(/revoked/))
    expect(thrown(() => openVitals(after, vitals, NOW))).toEqual(unauthorized(/revoked/))
    expect(thrown(() => openSuspicion(after, suspicion, NOW))).toEqual(unauthorized(/revoked/))
    expect(checkCertificate(after, other.certificate, NOW).node).toBe(other.id)
    // A new invite does not bring the same key back.
    const again = sign(CERTIFICATE, home.id, NOW, { node: member.id, invite: other.invite.bytes }, [other.inviteKey])
    expect(thrown(() => checkCertificate(after, again.bytes, NOW))).toEqual(unauthorized(/revoked/))
  })

  it('is an operator’s to make, of this fleet', () => {
    const home = fleet()
    const member = node(home)
    for (const signer of [member.key, member.inviteKey, generateKeyPair()])
      expect(thrown(() => withRevocation(home.authority, revoke(home, member.id, signer)))).toEqual(
        unauthorized(/not signed by an operator/),
      )
    const away = fleet(home.operator, { nonce: 2 })
    expect(thrown(() => withRevocation(home.authority, revoke(away, member.id)))).toEqual(unauthorized(/another fleet/))
  })

  it('counts once, and stays when the policy changes', () => {
    const operator = generateKeyPair()
    const home = fleet(operator)
    const member = node(home)
    const after = withRevocation(home.authority, revoke(home, member.id))
    expect(withRevocation(after, revoke(home, member.id))).toBe(after)
    expect(home.authority.revoked.size).toBe(0)
    const rotated = withPolicy(after, nextPolicy(home, home.first, [operator], [operator]).bytes)
    expect(rotated.revoked.has(member.id)).toBe(true)
  })

  it('that was kept is taken back at a restart, though its operator is none any more', () => {
    const operator = generateKeyPair()
    const successor = generateKeyPair()
    const home = fleet(operator)
    const member = node(home)
    const rotated = authorityFrom([
      home.first.bytes,
      nextPolicy(home, home.first, [successor], [operator, successor]).bytes,
    ])
    const bytes = revoke(home, member.id)
    expect(thrown(() => withRevocation(rotated, bytes))).toEqual(unauthorized(/not signed by an operator/))
    expect(withKeptRevocation(rotated, bytes).revoked.has(member.id)).toBe(true)
    expect(thrown(() => withKeptRevocation(rotated, revoke(home, member.id, generateKeyPair())))).toEqual(
      unauthorized(/that this fleet ever had/),
    )
  })
})

describe('a record', () => {
  it('is a node’s own word under its own certificate', () => {
    const home = fleet()
    const member = node(home)
    expect(openRecord(home.authority, signedRecord(home, member, { seq: 7 }), NOW).body).toMatchObject({
      node: member.id,
      seq: 7,
    })
  })

  it('is refused from another’s mouth, and with another’s certificate', () => {
    const home = fleet()
    const member = node(home)
    const other = node(home)
    const spoken = (body: Parameters<typeof record>[0], signers: KeyPair[]): Uint8Array =>
      sign(RECORD, home.id, NOW, record(body), signers).bytes
    for (const signers of [[other.key], [home.operator], [member.inviteKey], [member.key, other.key]])
      expect(thrown(() => openRecord(home.authority, spoken(member, signers), NOW))).toEqual(
        unauthorized(/only speak of itself/),
      )
    const nobody = { id: `12D3Koo${'1'.repeat(45)}` as typeof member.id, certificate: member.certificate }
    expect(thrown(() => openRecord(home.authority, spoken(nobody, [member.key]), NOW))).toEqual(
      unauthorized(/only speak of itself/),
    )
    const borrowed = { id: member.id, certificate: other.certificate }
    expect(thrown(() => openRecord(home.authority, spoken(borrowed, [member.key]), NOW))).toEqual(
      unauthorized(/certificate of another node/),
    )
  })

  it('from another fleet, or with a certificate of one, is refused', () => {
    const home = fleet()
    const away = fleet(home.operator, { nonce: 2 })
    const foreign = node(away)
    expect(thrown(() => openRecord(home.authority, signedRecord(away, foreign), NOW))).toEqual(
      unauthorized(/another fleet/),
    )
    const smuggled = sign(RECORD, home.id, NOW, record(foreign), [foreign.key])
    expect(thrown(() => openRecord(home.authority, smuggled.bytes, NOW))).toEqual(unauthorized(/another fleet/))
  })

  it('may be signed by a clock that is a little fast, and by none that is far ahead', () => {
    const home = fleet()
    const member = node(home)
    const signedAt = (ahead: number): Uint8Array => sign(RECORD, home.id, at(ahead), record(member), [member.key]).bytes
    expect(openRecord(home.authority, signedAt(LIMITS.clockSkew), NOW)).toBeDefined()
    expect(openRecord(home.authority, signedAt(-1000 * HOUR), NOW)).toBeDefined()
    expect(thrown(() => openRecord(home.authority, signedAt(LIMITS.clockSkew + 1), NOW))).toEqual(
      unauthorized(/300 s in the future; set the clocks/),
    )
  })

  it.each([
    ['class', { class: 'cloud' }, { class: 'physical' }],
    ['zone', { zone: 'a' }, { zone: 'b' }],
    ['group', { group: 'web' }, { group: 'db' }],
    ['tag', { tags: { role: 'web' } }, { tags: { role: 'db' } }],
    ['missing tag', { tags: { role: 'web' } }, { tags: {} }],
    ['tag named like a property of every object', { tags: { constructor: 'x' } }, { tags: {} }],
  ] as const)('claims no other %s than its invite allows', (_, bounds, claim) => {
    const home = fleet()
    const member = node(home, bounds)
    expect(openRecord(home.authority, signedRecord(home, member, bounds), NOW)).toBeDefined()
    expect(thrown(() => openRecord(home.authority, signedRecord(home, member, claim), NOW))).toEqual(
      unauthorized(/the invite (is for|demands)/),
    )
  })

  it('may claim what its invite leaves open', () => {
    const free = { class: 'physical', zone: 'b', group: 'db', tags: { any: 'thing' } } as const
    const { key, expires } = node(fleet()).invite.body
    expect(() => assertWithinInvite(free, { key, expires })).not.toThrow()
    expect(() => assertWithinInvite(free, { key, expires, tags: { any: 'thing' } })).not.toThrow()
  })
})

describe('vitals and suspicions', () => {
  it('are refused from another’s mouth and from the future', () => {
    const home = fleet()
    const member = node(home)
    const other = node(home)
    const body = {
      node: member.id,
      epoch: 1,
      seq: 1,
      health: 'unknown' as const,
      reason: '',
      layers: [],
      images: [],
      taint: [],
    }
    expect(thrown(() => openVitals(home.authority, sign(VITALS, home.id, NOW, body, [other.key]).bytes, NOW))).toEqual(
      unauthorized(/only speak of itself/),
    )
    const late = sign(VITALS, home.id, at(HOUR), body, [member.key]).bytes
    expect(thrown(() => openVitals(home.authority, late, NOW))).toEqual(unauthorized(/in the future/))
    const doubt = { subject: other.id, epoch: 1, seq: 1, evidence: 'silence' as const, since: NOW }
    const choir = sign(SUSPICION, home.id, NOW, doubt, [member.key, other.key]).bytes
    expect(thrown(() => openSuspicion(home.authority, choir, NOW))).toEqual(unauthorized(/one signature, found 2/))
  })
})

describe('a user event', () => {
  it("is its author's own word, until the author is revoked", () => {
    const home = fleet()
    const [author, other] = [node(home), node(home)]
    const body = {
      node: author.id,
      seq: 1,
      ltime: 1,
      name: 'deploy',
      payload: new Uint8Array(LIMITS.eventPayload),
      coalesce: false,
      after: Array.from({ length: LIMITS.eventAfter }, (): [NodeId, number] => [other.id, Number.MAX_SAFE_INTEGER]),
    }
    const { bytes } = sign(EVENT, home.id, NOW, body, [author.key])
    expect(openEvent(home.authority, bytes, NOW).body.name).toBe('deploy')
    expect(thrown(() => openEvent(home.authority, sign(EVENT, home.id, NOW, body, [other.key]).bytes, NOW))).toEqual(
      unauthorized(/only speak of itself/),
    )
    const late = sign(EVENT, home.id, at(HOUR), body, [author.key])
    expect(thrown(() => openEvent(home.authority, late.bytes, NOW))).toEqual(unauthorized(/in the future/))
    const revocation = sign(REVOCATION, home.id, NOW, { node: author.id, reason: 'gone' }, [home.operator])
    expect(thrown(() => openEvent(withRevocation(home.authority, revocation.bytes), bytes, NOW))).toEqual(
      unauthorized(/revoked/),
    )
  })

  it('has a name that fits an environment variable, and a bounded payload', () => {
    const home = fleet()
    const author = node(home)
    const made = (change: object): Uint8Array =>
      sign(
        EVENT,
        home.id,
        NOW,
        {
          node: author.id,
          seq: 1,
          ltime: 1,
          name: 'n',
          payload: new Uint8Array(),
          coalesce: false,
          after: [],
          ...change,
        },
        [author.key],
      ).bytes
    for (const change of [
      { name: '' },
      { name: 'a\0b' },
      { name: 'x'.repeat(LIMITS.eventName + 1) },
      { seq: 0 },
      { payload: new Uint8Array(LIMITS.eventPayload + 1) },
    ])
      expect(thrown(() => openEvent(home.authority, made(change), NOW))).toEqual(refusal('corrupt'))
  })
})

describe('plans and orders', () => {
  const plan = (roster: NodeId[]): Plan => ({
    ...NO_GATES,
    group: 'web',
    generation: 1,
    layer: 'app',
    image: 'a'.repeat(64) as Digest,
    version: 'app:1',
    previous: null,
    roster,
    strategy: 'rolling',
    canary: 0,
    maxUnavailable: 1,
    minHealthy: 1000,
    deadline: 60_000,
    maxFailed: 1,
    notAfter: at(HOUR),
    force: false,
    reason: '',
  })

  it('are an operator’s to give, under the current policy', () => {
    const operator = generateKeyPair()
    const successor = generateKeyPair()
    const home = fleet(operator)
    const member = node(home)
    const rotated = withPolicy(home.authority, nextPolicy(home, home.first, [successor], [operator, successor]).bytes)
    const planBy = (key: KeyPair): Uint8Array => sign(PLAN, home.id, NOW, plan([member.id]), [key]).bytes
    const orderBy = (key: KeyPair): Uint8Array =>
      sign(ORDER, home.id, NOW, { group: 'web', generation: 1, verb: 'pause', reason: '' }, [key]).bytes
    expect(openPlan(home.authority, planBy(operator)).body.group).toBe('web')
    expect(openOrder(home.authority, orderBy(operator)).body.verb).toBe('pause')
    expect(openPlan(rotated, planBy(successor))).toBeDefined()
    for (const [authority, key] of [
      [home.authority, member.key],
      [home.authority, member.inviteKey],
      [home.authority, successor],
      [rotated, operator],
    ] as [Authority, KeyPair][]) {
      expect(thrown(() => openPlan(authority, planBy(key)))).toEqual(unauthorized(/not signed by an operator/))
      expect(thrown(() => openOrder(authority, orderBy(key)))).toEqual(unauthorized(/not signed by an operator/))
    }
  })

  it('need the signatures of as many operators as the policy demands', () => {
    const [one, two, three, stranger] = keys(4) as [KeyPair, KeyPair, KeyPair, KeyPair]
    const home = fleet(one)
    const shared = nextPolicy(home, home.first, [one, two, three], [one, two], { threshold: 2 })
    const authority = withPolicy(home.authority, shared.bytes)
    const member = node(home)
    const signedBy = (...by: KeyPair[]) => sign(PLAN, home.id, NOW, plan([member.id]), by)
    for (const by of [[one], [one, stranger], [two]])
      expect(thrown(() => openPlan(authority, signedBy(...by).bytes))).toEqual(
        unauthorized(/plan 1 for group web has 1 of the 2 operators' signatures that policy 2 demands/),
      )
    expect(thrown(() => openPlan(authority, signedBy(stranger).bytes))).toEqual(
      unauthorized(/not signed by an operator/),
    )
    expect(approvalsMissing(authority, signedBy(three))).toBe(1)
    const approved = cosign(PLAN, signedBy(three), one)
    expect(approvalsMissing(authority, approved)).toBe(0)
    expect(openPlan(authority, approved.bytes).id).toBe(signedBy(three).id)
    expect(openPlan(home.authority, signedBy(one).bytes)).toBeDefined()
  })

  it('are refused where they contradict themselves', () => {
    const home = fleet()
    const [a, b] = [node(home).id, node(home).id]
    const signed = (change: Partial<Plan>): Uint8Array =>
      sign(PLAN, home.id, NOW, { ...plan([a, b]), ...change }, [home.operator]).bytes
    expect(openPlan(home.authority, signed({ strategy: 'canary', canary: 1 }))).toBeDefined()
    for (const change of [
      { roster: [a, a] },
      { roster: [] },
      { strategy: 'canary' as const, canary: 0 },
      { strategy: 'rolling' as const, canary: 1 },
      { strategy: 'canary' as const, canary: 3 },
      { maxUnavailable: 0 },
      { generation: 0 },
      { maxFailed: 0 },
      { deadline: 0 },
    ])
      expect(thrown(() => openPlan(home.authority, signed(change)))).toEqual(refusal('corrupt'))
  })
})

describe('a publisher', () => {
  it('is one whom the current policy names', () => {
    const [publisher, stranger] = keys(2) as [KeyPair, KeyPair]
    const home = fleet(generateKeyPair(), { publishers: [publisher.publicKey] })
    const endorsed = (signers: KeyPair[]) =>
      sign(ENDORSEMENT, home.id, NOW, { image: 'a'.repeat(64) as Digest }, signers)
    expect(isPublisher(home.authority, endorsed([publisher]))).toBe(true)
    expect(isPublisher(home.authority, endorsed([stranger, publisher]))).toBe(true)
    expect(isPublisher(home.authority, endorsed([stranger]))).toBe(false)
    expect(isPublisher(home.authority, endorsed([home.operator]))).toBe(false)
  })
})

describe('an invite', () => {
  it('is refused with an unknown class or a label that is none', () => {
    const home = fleet()
    const { publicKey } = generateKeyPair()
    for (const bounds of [{ class: 'alien' }, { group: '-x' }, { zone: '' }, { tags: { 'a b': 'c' } }]) {
      const invite = sign(INVITE, home.id, NOW, { key: publicKey, expires: NOW, ...bounds } as never, [home.operator])
      const key = generateKeyPair()
      const made = sign(CERTIFICATE, home.id, NOW, { node: nodeIdOf(key.publicKey), invite: invite.bytes }, [key])
      expect(thrown(() => checkCertificate(home.authority, made.bytes, NOW))).toEqual(refusal('corrupt'))
    }
  })
})
