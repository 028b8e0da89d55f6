// `fleetctl doctor`: gathers facts from the daemon (facts.ts), decides what is wrong and how it is mended (diagnose.ts, which asks nobody),
// and shows it. Loaded when it is asked for.
import { EXIT_CODE, FleetError, toFleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import { plain, plural } from '../text.ts'
import { bySeverity, type Checked, diagnose } from './diagnose.ts'
import { gather } from './facts.ts'
import type { Finding } from './types.ts'

/** Exit 0 when there is no problem, whatever there is to look at; 1 when there is one; that of the error where the daemon does not answer. */
export async function run(context: Context): Promise<number> {
  const checked = await gather(context).then(diagnose, (error: unknown) => {
    const failed = toFleetError(error)
    if (context.signal.aborted || failed.code !== 'unavailable') throw failed
    return failed
  })
  if (checked instanceof FleetError) {
    show(context, [{ check: 'daemon', findings: [absent(checked)], good: '' }])
    return EXIT_CODE[checked.code]
  }
  show(context, checked)
  return checked.some(({ findings }) => findings.some(({ severity }) => severity === 'problem')) ? 1 : 0
}

/** The daemon that should tell all the rest does not answer. */
const absent = ({ message }: FleetError): Finding => ({
  severity: 'problem',
  what: message,
  mend: 'Start the daemon here, and see in its log (journalctl -u fleetd) why it stopped if it does not stay.',
  on: 'this host',
  run: 'systemctl start fleetd',
})

function show(context: Context, all: readonly Checked[]): void {
  const findings = bySeverity(all)
  const good = all.filter(each => each.findings.length === 0).map(({ check, good }) => ({ check, text: good }))
  const problems = findings.filter(({ severity }) => severity === 'problem').length
  context.show({ problems, warnings: findings.length - problems, findings, good }, () => {
    const { paint } = context
    return [
      ...findings.flatMap(({ check, severity, what, mend, on, run }) => [
        `${paint(severity === 'problem' ? 'red' : 'yellow', severity.padEnd(7))}  ${plain(`${check}: ${what}`)}`,
        plain(`         ${mend}`),
        `         ${paint('bold', plain(`on ${on}: ${run}`))}`,
      ]),
      ...good.map(({ check, text }) => `${paint('green', 'ok     ')}  ${plain(`${check}: ${text}`)}`),
      problems === 0 && findings.length === 0
        ? 'all is well'
        : `${plural(problems, 'problem')}, ${plural(findings.length - problems, 'warning')}`,
    ].join('\n')
  })
}
