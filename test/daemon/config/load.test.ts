import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Config, loadConfig } from '../../../daemon/config/index.ts'
import { nameFromHost } from '../../../daemon/config/schema.ts'
import { recordSchema } from '../../../protocol/index.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-config-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(dir, { recursive: true, force: true })
})

const file = (name: string, text: string): string => {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}
const load = async (argv: string[], env: NodeJS.ProcessEnv = {}): Promise<Config> =>
  (await loadConfig(argv, env, '1.2.3'))!.config

/** The message of the refusal, with the temporary directory left out. Fails when nothing was refused. */
const refusal = async (argv: string[], env: NodeJS.ProcessEnv = {}): Promise<string> => {
  const error = await loadConfig(argv, env, '1.2.3').then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toMatchObject({ name: 'FleetError', code: 'bad-input' })
  const { message } = error as Error
  expect(message).not.toContain('\n')
  return message.replaceAll(`${dir}/`, '')
}
const refusalOf = (yaml: string): Promise<string> => refusal(['--config', file('f.yaml', yaml)])

describe("Serf's clients", () => {
  it('are served on loopback with no token, and elsewhere with one alone', async () => {
    expect(await load(['--serf-rpc', '127.0.0.1:7373'])).toMatchObject({ serfRpc: '127.0.0.1:7373' })
    expect(await load(['--serf-rpc', '0.0.0.0:7373', '--serf-rpc-auth-file', 'token'])).toMatchObject({
      serfRpc: '0.0.0.0:7373',
      serfRpcAuthFile: 'token',
    })
    expect(await refusal(['--serf-rpc', '0.0.0.0:7373'])).toContain('give a token with --serf-rpc-auth-file')
    expect(await refusal(['--serf-rpc', '7373'])).toBe('--serf-rpc: expected HOST:PORT or [IPV6]:PORT, found "7373"')
  })
})

describe('where a setting comes from', () => {
  it('is a complete configuration with no settings at all', async () => {
    const config = await load([])
    expect(config).toMatchObject({
      listen: ['0.0.0.0:7946', '[::]:7946'],
      init: false,
      join: [],
      class: 'cloud',
      zone: 'default',
      group: 'default',
      tag: {},
      mdns: true,
      lanOnly: false,
      relay: true,
      profile: 'lan',
      api: [`unix:${config.dataDir}/fleetd.sock`],
      logLevel: 'info',
      layers: {},
    })
    expect(recordSchema.shape.name.safeParse(config.name).success).toBe(true)
  })

  it('keeps its data where root or the user keeps such things', async () => {
    vi.spyOn(process, 'getuid').mockReturnValue(0)
    expect((await load([])).dataDir).toBe('/var/lib/fleetd')
    vi.spyOn(process, 'getuid').mockReturnValue(1000)
    expect((await load([])).dataDir).toMatch(/^\/.*\/\.local\/share\/fleetd$/)
  })

  it('lets a flag win over a variable, a variable over a file, and a later file over an earlier one', async () => {
    const first = file('a.yaml', 'name: first\nzone: first\ngroup: first\nprofile: wan\n')
    const second = file('b.yaml', 'name: second\nzone: second\ngroup: second\n')
    const config = await load(['--config', first, '--config', second, '--name', 'flag'], {
      FLEETD_NAME: 'variable',
      FLEETD_ZONE: 'variable',
    })
    expect(config).toMatchObject({ name: 'flag', zone: 'variable', group: 'second', profile: 'wan' })
  })

  it('takes every setting as a flag, as a variable and as a key, with one meaning', async () => {
    const wanted: Partial<Config> = {
      dataDir: '/srv/fleet',
      name: 'n1',
      class: 'physical',
      zone: 'z1',
      group: 'web',
      tag: { role: 'db', rack: '7' },
      init: true,
      operatorKey: '/root/op.key',
      join: ['192.0.2.1:7946', 'fleet1.abc'],
      mdns: false,
      listen: ['127.0.0.1:0', '[::1]:7000'],
      advertise: ['host.example:7946'],
      lanOnly: true,
      relay: false,
      profile: 'local',
      eventHandler: [
        {
          text: 'user:deploy,query=./on a,b',
          filters: [{ type: 'user', name: 'deploy' }, { type: 'query' }],
          script: './on a,b',
        },
        { text: './all', filters: [{ type: '*' }], script: './all' },
      ],
      handlerTimeout: 5_000,
      handlerConcurrency: 3,
      api: ['unix:/run/fleetd.sock', '127.0.0.1:8000'],
      quota: { bytes: 10 * 2 ** 30 },
      minFree: { share: 0.05 },
      uploadLimit: 4 * 2 ** 20,
      downloadLimit: 1_500_000,
      zoneUploadLimit: { ship: 20_000, z2: 2 ** 20 },
      zoneDownloadLimit: { ship: 64 * 1024 },
      zoneBudget: { bytes: 500 * 2 ** 20, window: 24 * 3_600_000 },
      logLevel: 'debug',
      logFormat: 'json',
    }
    const argv = [
      ...['--data-dir', '/srv/fleet', '--name', 'n1', '--class', 'physical', '--zone', 'z1', '--group', 'web'],
      ...['--tag', 'role=db', '--tag', 'rack=7', '--init', '--operator-key', '/root/op.key'],
      ...['--join', '192.0.2.1:7946', '--join', 'fleet1.abc', '--no-mdns', '--listen', '127.0.0.1:0'],
      ...['--listen', '[::1]:7000', '--advertise', 'host.example:7946', '--lan-only', '--no-relay'],
      ...['--profile', 'local'],
      ...['--api', 'unix:/run/fleetd.sock', '--api', '127.0.0.1:8000', '--log-level', 'debug', '--log-format', 'json'],
      ...['--event-handler', 'user:deploy,query=./on a,b', '--event-handler', './all'],
      ...['--handler-timeout', '5s', '--handler-concurrency', '3', '--quota', '10GiB', '--min-free', '5%'],
      ...['--upload-limit', '4MiB/s', '--download-limit', '1.5MB', '--zone-budget', '500MiB/24h'],
      ...['--zone-upload-limit', 'ship=20kB', '--zone-upload-limit', 'z2=1MiB', '--zone-download-limit', 'ship=64KiB'],
    ]
    const env = {
      FLEETD_DATA_DIR: '/srv/fleet',
      FLEETD_NAME: 'n1',
      FLEETD_CLASS: 'physical',
      FLEETD_ZONE: 'z1',
      FLEETD_GROUP: 'web',
      FLEETD_TAG: 'role=db, rack=7',
      FLEETD_INIT: 'true',
      FLEETD_OPERATOR_KEY: '/root/op.key',
      FLEETD_JOIN: '192.0.2.1:7946,fleet1.abc',
      FLEETD_MDNS: '0',
      FLEETD_LISTEN: '127.0.0.1:0,[::1]:7000',
      FLEETD_ADVERTISE: 'host.example:7946',
      FLEETD_LAN_ONLY: '1',
      FLEETD_RELAY: '0',
      FLEETD_EVENT_HANDLER: 'user:deploy,query=./on a,b\n./all\n',
      FLEETD_HANDLER_TIMEOUT: '5s',
      FLEETD_HANDLER_CONCURRENCY: '3',
      FLEETD_QUOTA: '10GiB',
      FLEETD_MIN_FREE: '5%',
      FLEETD_UPLOAD_LIMIT: '4MiB/s',
      FLEETD_DOWNLOAD_LIMIT: '1.5MB',
      FLEETD_ZONE_UPLOAD_LIMIT: 'ship=20kB,z2=1MiB',
      FLEETD_ZONE_DOWNLOAD_LIMIT: 'ship=64KiB',
      FLEETD_ZONE_BUDGET: '500MiB/24h',
      FLEETD_PROFILE: 'local',
      FLEETD_API: 'unix:/run/fleetd.sock,127.0.0.1:8000',
      FLEETD_LOG_LEVEL: 'debug',
      FLEETD_LOG_FORMAT: 'json',
    }
    const written = {
      ...wanted,
      eventHandler: wanted.eventHandler?.map(({ text }) => text),
      handlerTimeout: '5s',
      quota: '10GiB',
      minFree: '5%',
      uploadLimit: '4MiB/s',
      downloadLimit: '1.5MB',
      zoneUploadLimit: { ship: '20kB', z2: '1MiB' },
      zoneDownloadLimit: { ship: '64KiB' },
      zoneBudget: '500MiB/24h',
    }
    const expected = { ...wanted, layers: {}, services: {}, api: wanted.api }
    expect(await load(argv)).toEqual(expected)
    expect(await load([], env)).toEqual(expected)
    expect(await load(['--config', file('all.yaml', JSON.stringify(written))])).toEqual(expected)
  })

  it('turns mDNS on again with a flag that a file turned off', async () => {
    expect((await load(['--config', file('f.yaml', 'mdns: false'), '--mdns'])).mdns).toBe(true)
  })

  it('reads the files of FLEETD_CONFIG unless --config names others', async () => {
    const env = { FLEETD_CONFIG: `${file('a.yaml', 'name: a\nzone: a')},${file('b.yaml', 'name: b')}` }
    expect(await load([], env)).toMatchObject({ name: 'b', zone: 'a' })
    expect(await load(['--config', file('c.yaml', 'name: c')], env)).toMatchObject({ name: 'c', zone: 'default' })
  })

  it('lets be what orchestrators put in the environment', async () => {
    await expect(load([], { FLEETD_PORT: 'tcp://10.0.0.1:80', FLEETD_SERVICE_HOST: '10.0.0.1' })).resolves.toBeDefined()
  })

  it('takes an empty file for no settings', async () => {
    expect(await load(['--config', file('f.yaml', '# nothing\n')])).toEqual(await load([]))
  })

  it('parses layers, with their defaults and lengths of time', async () => {
    const config = await load([
      '--config',
      file(
        'f.yaml',
        `layers:
  app:
    driver: process
    command: ["node", "server.js"]
    env: { PORT: "8080" }
    checks:
      - { name: http, http: "http://127.0.0.1:8080/healthz", interval: 1s, timeout: 500ms, failures: 3 }
`,
      ),
    ])
    expect(config.layers.app).toMatchObject({ command: ['node', 'server.js'], checks: [{ timeout: 500 }] })
  })

  it('makes paths absolute, so that messages name them whole', async () => {
    expect((await load(['--data-dir', 'here'])).dataDir).toBe(join(process.cwd(), 'here'))
  })
})

describe('--check-config, --help and --version', () => {
  it('says that the configuration was only to be checked', async () => {
    expect((await loadConfig(['--check-config'], {}, '1.2.3'))?.checkOnly).toBe(true)
    expect((await loadConfig([], { FLEETD_CHECK_CONFIG: 'true' }, '1.2.3'))?.checkOnly).toBe(true)
    expect((await loadConfig([], {}, '1.2.3'))?.checkOnly).toBe(false)
  })

  it('prints the version, and help that teaches', async () => {
    const printed: string[] = []
    vi.spyOn(process.stdout, 'write').mockImplementation(text => printed.push(String(text)) > 0)
    expect(await loadConfig(['--version'], {}, '1.2.3')).toBeUndefined()
    expect(printed.join('')).toBe('1.2.3\n')
    expect(await loadConfig(['--help'], {}, '1.2.3')).toBeUndefined()
    const help = printed.join('')
    for (const part of ['This node:', 'Network:', 'Examples:', '--data-dir <dir>', 'FLEETD_DATA_DIR', 'layers:'])
      expect(help).toContain(part)
    expect(help).toContain('--api-token-file')
  })
})

describe('what is refused', () => {
  it('names file and line of an unknown setting, and the one that was meant', async () => {
    expect(await refusalOf('name: a\n\nlisten_: []\n')).toBe(
      'f.yaml:3: unknown setting "listen_"; did you mean listen?',
    )
    expect(await refusalOf('data-dir: /srv\n')).toBe('f.yaml:1: unknown setting "data-dir"; did you mean dataDir?')
    expect(await refusalOf('colour: red\n')).toMatch(
      /^f\.yaml:1: unknown setting "colour"; expected one of dataDir, name/,
    )
  })

  it('names the line of an unknown setting deep inside a layer', async () => {
    const yaml = `layers:
  app:
    driver: process
    command: ["true"]
    checks:
      - name: http
        http: "http://127.0.0.1/"
        intervall: 1s
`
    expect(await refusalOf(yaml)).toBe(
      'f.yaml:8: unknown setting "intervall" in layers.app.checks.0; did you mean interval?',
    )
  })

  it.each([
    ['logLevel: loud', 'f.yaml:1: logLevel: expected one of trace, debug, info, warn, error, found "loud"'],
    [
      'services: { web: { port: 80, drain: 0s } }',
      'f.yaml:1: services.web.drain: expected a length of time from 10ms to 24h, such as 500ms, 10s or 2m, found "0s"',
    ],
    ['mdns: off', 'f.yaml:1: mdns: expected true or false, found "off"'],
    ['name: 5', 'f.yaml:1: name: expected text, found 5'],
    ['name:', 'f.yaml:1: name: expected text, found an empty value'],
    ['name: -a-', 'f.yaml:1: name: expected letters, digits, dot, dash or underscore, found "-a-"'],
    ['zone: a\nlisten: 0.0.0.0:1', 'f.yaml:2: listen: expected a list, found "0.0.0.0:1"'],
    ['listen: []', 'f.yaml:1: listen: expected at least 1 entries, found a list of 0'],
    [
      'listen:\n  - 0.0.0.0:1\n  - 0.0.0.0:70000',
      'f.yaml:3: listen.1: expected HOST:PORT, [IPV6]:PORT or /ip4/HOST/tcp/PORT, found "0.0.0.0:70000"',
    ],
    [
      'advertise: ["0.0.0.0:7946"]',
      'f.yaml:1: advertise.0: expected an address that others can dial, with its port, found "0.0.0.0:7946"',
    ],
    ['tag: ["a=b"]', 'f.yaml:1: tag: expected settings as "key: value", found a list of 1'],
    ['tag:\n  a: b\n  "x y": c', 'f.yaml:3: tag.x y: expected letters, digits, dot, dash or underscore, found "x y"'],
    ['- name', 'f.yaml:1: expected settings as "key: value"'],
    [
      'layers:\n  app:\n    driver: docker',
      'f.yaml:3: layers.app.driver: expected one of process, service, exec, agent, found "docker"',
    ],
    ['layers:\n  app:\n    driver: process', 'f.yaml:2: layers.app.command: expected a list, found nothing'],
  ])('names what was found and what was expected: %j', async (yaml, message) => {
    expect(await refusalOf(yaml)).toBe(message)
  })

  it('says where YAML is broken', async () => {
    expect(await refusalOf('name: a\nzone: [b\n')).toMatch(/^f\.yaml:\d: /)
    expect(await refusalOf('name: a\nname: b\n')).toMatch(/^f\.yaml:2: .*unique/)
    expect(await refusalOf('name: *gone\n')).toMatch(/^f\.yaml:1: /)
  })

  it('does not unfold a document that grows without bound', async () => {
    const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
    for (let i = 1; i < 9; i++)
      bomb.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      )
    expect(await refusalOf(bomb.join('\n'))).toMatch(/alias/)
  })

  it('names a file that cannot be read', async () => {
    expect(await refusal(['--config', join(dir, 'none.yaml')])).toMatch(/^cannot read the configuration none\.yaml: /)
  })

  it('finds a mistake in a file even where a flag hides it', async () => {
    expect(await refusal(['--config', file('f.yaml', 'logLevel: loud'), '--log-level', 'info'])).toMatch(
      /^f\.yaml:1: logLevel/,
    )
  })

  it('names the flag, and the one that was meant', async () => {
    expect(await refusal(['--lisen', 'x'])).toMatch(/^unknown option '--lisen' \(Did you mean --listen\?\)/)
    expect(await refusal(['--name'])).toMatch(/--name <name>/)
    expect(await refusal(['start'])).toMatch(/too many arguments/)
    expect(await refusal(['--log-level', 'loud'])).toBe(
      '--log-level: expected one of trace, debug, info, warn, error, found "loud"',
    )
    expect(await refusal(['--listen', 'nowhere'])).toMatch(/^--listen: expected HOST:PORT.*, found "nowhere"$/)
    expect(await refusal(['--tag', 'web'])).toBe('--tag: expected key=value, found "web"')
  })

  it('names the variable', async () => {
    expect(await refusal([], { FLEETD_PROFILE: 'moon' })).toBe(
      'FLEETD_PROFILE: expected one of lan, wan, local, found "moon"',
    )
    expect(await refusal([], { FLEETD_MDNS: 'maybe' })).toBe('FLEETD_MDNS: expected true or false, found "maybe"')
  })

  it('takes no TCP address that others could reach without a token', async () => {
    for (const api of ['0.0.0.0:8000', '192.0.2.1:8000', 'host.example:8000', '[::]:8000', '127.evil.example:80'])
      expect(await refusal(['--api', api])).toMatch(/can be reached from other hosts.*--api-token-file.*openssl rand/)
    for (const api of ['unix:/run/x.sock', '127.0.0.1:0', 'localhost:8000', '[::1]:8000'])
      expect((await load(['--api', api])).api).toEqual([api])
    expect(await refusal(['--api', 'unix:'])).toMatch(/expected unix:PATH or HOST:PORT/)
  })

  it('repeats no invite and no secret of a program', async () => {
    expect(await refusal(['--join', 'Fleet1.verysecret'])).not.toContain('verysecret')
    const yaml = 'layers:\n  app: { driver: process, command: ["x"], env: { PIN: 4711 } }'
    const message = await refusalOf(yaml)
    expect(message).toMatch(/^f\.yaml:2: layers\.app\.env\.PIN: expected text, found a number; put it in quotes$/)
  })

  it('takes no limit that is too low to hold, no budget without a time, and no rate that is none', async () => {
    expect(await refusal(['--upload-limit', '9999'])).toMatch(/--upload-limit: .*at least 10000 bytes/)
    expect(await refusal(['--download-limit', 'fast'])).toMatch(/expected a size such as 4MiB for each second/)
    expect(await refusal(['--zone-upload-limit', 'ship=1'])).toMatch(/at least 10000 bytes/)
    for (const wrong of ['500MiB', '500MiB/1s', '/24h', '1MiB/day'])
      expect(await refusal(['--zone-budget', wrong])).toMatch(/expected a size and a time of at least a minute/)
  })

  it('takes a TCP address that others can reach with a token, no certificate without its key, and none where there is no token', async () => {
    expect((await load(['--api', '0.0.0.0:7981', '--api-token-file', 't'])).api).toEqual(['0.0.0.0:7981'])
    expect(await refusal(['--api-token-file', 't', '--api-key-file', 'k'])).toMatch(/belong together/)
    expect(await refusal(['--api-cert-file', 'c', '--api-key-file', 'k'])).toMatch(/--api-token-file/)
  })
})

describe('the default name', () => {
  it.each([
    ['host', 'host'],
    ['web-1.example.org', 'web-1.example.org'],
    ["Ada's MacBook (2)", 'Ada-s-MacBook-2'],
    ['-_-', 'node'],
    ['', 'node'],
    ['a'.repeat(300), 'a'.repeat(128)],
    [`${'a'.repeat(127)}-b`, 'a'.repeat(127)],
  ])('of host %j is %j, which a record may carry', (host, name) => {
    expect(nameFromHost(host)).toBe(name)
    expect(recordSchema.shape.name.safeParse(name).success).toBe(true)
  })
})
