// What `fallback status` says on the fallback server: its state, what to type next, and what its store holds. No key is needed.
import type { Invocation } from './command-spec.ts';
import { namedRepositories, openStoreOf } from './open-repository.ts';
import { halfRecoveredApp, openJournal, openMachine } from './open-takeover.ts';
import { showAge, showBytes, showTime } from './show.ts';
import { layFacts, layTable } from './table.ts';

/** Shows it. @throws what reading the configuration, the journal and the store throws. */
export async function showFallbackStanding(invocation: Invocation, folder: string): Promise<void> {
  const { world, output } = invocation;
  const machine = await openMachine(invocation, 'fallback');
  const [{ nextCommand }, { nextRecovery }, { readArmedKey }] = await Promise.all([
    import('../yunohost/takeover/journal.ts'),
    import('../yunohost/takeover/half-recovery.ts'),
    import('../yunohost/takeover/armed-key.ts'),
  ]);
  const { state } = await openJournal(machine);
  const recovering = await halfRecoveredApp(machine.invocation);
  const next = recovering === undefined ? nextCommand(state) : nextRecovery(recovering);
  const armed = await readArmedKey(world.fs, machine.host.stateFolder);
  const store = await openStoreOf(invocation, folder);
  try {
    const repositories = (await namedRepositories(store)).map(({ status }) => status);
    const facts = repositories.map(({ present, lost, holed, ...rest }) => ({
      ...rest,
      packs: present.size,
      packsLost: lost.toText(),
      packsHoled: holed.toText(),
      damaged: !lost.isEmpty || !holed.isEmpty,
    }));
    output.json({ role: 'fallback', state, recovering, next, armed: armed !== undefined, repositories: facts });
    output.lines(
      layFacts([
        ['state', state],
        ['next', next],
        ['armed', armed === undefined ? 'no' : `yes, since ${showTime(armed.armedAtMs)}`],
        ['store', folder],
      ]),
    );
    if (repositories.length === 0)
      output.line('It holds no repository yet: fallback invite, then fallback init there.');
    const columns = [
      { title: 'REPOSITORY' },
      { title: 'LAST COMPLETE' },
      { title: 'EPOCH', right: true },
      { title: 'STORED', right: true },
      { title: 'DAMAGE' },
    ];
    const rows = facts.map((one) => [
      one.name,
      one.lastCompleteAtMs === undefined
        ? 'never'
        : `${showTime(one.lastCompleteAtMs)} (${showAge(one.lastCompleteAtMs, world.nowMs())})`,
      String(one.epoch),
      showBytes(one.storedBytes),
      one.damaged ? 'yes: fallback scrub' : 'none known',
    ]);
    if (rows.length > 0) output.lines(layTable(columns, rows));
  } finally {
    await store.close();
  }
}
