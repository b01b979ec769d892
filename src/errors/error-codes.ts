// The closed table of error codes: docs/ERRORS.md lists the same rows, and a test compares the two.
/** When the same call may be made again: never with the same input, later by a person or timer, or now by the program. */
export type Retry = 'never' | 'later' | 'now';

/** Exit codes of the command: 1 failed, 2 wrong usage, 3 finished but incomplete, 4 damage found, 5 not trusted, 10 busy. */
export type ExitCode = 1 | 2 | 3 | 4 | 5 | 10;

interface ErrorRow {
  readonly exitCode: ExitCode;
  readonly retry: Retry;
  /** What to do next, when the place that throws knows nothing better. */
  readonly hint: string;
}

const row = (exitCode: ExitCode, retry: Retry, hint: string): ErrorRow => ({ exitCode, retry, hint });

export const errorCodes = {
  // Usage and the local machine
  USAGE: row(2, 'never', 'See `fallback help` and the command’s own --help.'),
  CONFIG_INVALID: row(2, 'never', 'Correct the line named above; nothing was changed.'),
  SECRET_FILE_UNSAFE: row(2, 'never', 'Make it readable by its owner only: chmod 600 FILE.'),
  NOT_FOUND: row(1, 'never', 'Check the name; `fallback snapshots` and `fallback ls` show what is there.'),
  ALREADY_EXISTS: row(1, 'never', 'Choose another name, or remove the old one yourself first.'),
  NO_REPOSITORY: row(
    2,
    'never',
    'A new repository: fallback init CODE, with a code from `fallback invite` on the fallback server. To get backups back: the `fallback connect …` line of the recovery sheet.',
  ),
  DISK_FULL: row(1, 'later', 'Free some space, then run the same command again; what was finished is kept.'),
  IO: row(1, 'later', 'Look at the disk (dmesg), then run the same command again.'),
  ARCHIVE_CHANGED: row(1, 'later', 'Run the push again when nothing writes to the archive.'),
  ARCHIVE_UNREADABLE: row(
    1,
    'never',
    'Look whether this user may read it (ls -l); if it is broken, make it again. Then push again.',
  ),
  UNSAFE_PATH: row(1, 'never', 'The path would lead outside the chosen folder; nothing was written there.'),
  INTERRUPTED: row(1, 'later', 'Run the same command again: it goes on with what was already done.'),
  INTERNAL: row(
    1,
    'never',
    'This is a defect of fallback. Your data was not changed by it; please report the text above.',
  ),
  // Format
  FORMAT_INVALID: row(
    4,
    'never',
    'Run `fallback scrub` on the fallback server, then push again: what tonight’s archives hold is healed.',
  ),
  FORMAT_UNSUPPORTED: row(1, 'never', 'It was written by a newer version. Update fallback on this machine.'),
  LIMIT_EXCEEDED: row(1, 'never', 'The object is larger than the format allows, and was refused.'),
  // Trust
  KEY_WRONG: row(5, 'never', 'Check the passphrase or phrase, and that it belongs to this repository.'),
  PHRASE_INVALID: row(2, 'never', 'Compare each word with the recovery sheet.'),
  SEAL_BROKEN: row(
    4,
    'never',
    'Run `fallback scrub` on the fallback server, then push again: what tonight’s archives hold is healed.',
  ),
  CERTIFICATE_MISMATCH: row(
    5,
    'never',
    'Someone may be between you and the server, or the server was set up anew. Compare the fingerprint with the recovery sheet.',
  ),
  TRUST_ROLLBACK: row(
    5,
    'never',
    'The server shows an older state than this machine has seen. If you restored the server from a backup, see docs/THREAT-MODEL.md; otherwise treat it as hostile.',
  ),
  TRUST_FORK: row(
    5,
    'never',
    'The server shows a history other than the one this machine has seen. Do not push; see docs/THREAT-MODEL.md.',
  ),
  TRUST_REPOSITORY: row(5, 'never', 'The server holds another repository under this name. Nothing was sent.'),
  // Damage
  DAMAGED: row(
    4,
    'never',
    'Push again: chunks that tonight’s archives still contain are sent again and heal the snapshots.',
  ),
  VERIFY_FAILED: row(4, 'never', 'Nothing was published. Check this machine’s memory and disk, then run it again.'),
  // Server and network
  UNREACHABLE: row(
    1,
    'later',
    'Check the network and that `fallback serve` runs on the fallback server; then run it again: what a push has sent is kept.',
  ),
  TIMEOUT: row(1, 'now', 'Check the network; then run it again: what a push has sent is kept.'),
  PROTOCOL: row(1, 'never', 'What answers is not a fallback server of this version. Check the address.'),
  REQUEST_INVALID: row(1, 'never', 'The server does not understand this request. Update fallback on both machines.'),
  UNAUTHORIZED: row(
    5,
    'never',
    'It was revoked, or the server was set up anew. On the fallback server: `fallback repositories tokens NAME` shows what is good, `grant` makes a new one for `fallback connect … --push-token-file FILE` here.',
  ),
  FORBIDDEN: row(5, 'never', 'This token may not do that.'),
  PAIRING_INVALID: row(
    5,
    'never',
    'A code is good once, and for an hour. Make a new one with `fallback invite` on the fallback server.',
  ),
  BUSY: row(10, 'later', 'Another run holds the repository. Wait until it ends, then run it again.'),
  LEASE_LOST: row(10, 'later', 'The lease ran out or was taken over. Run the push again: what was sent is kept.'),
  FENCED: row(
    5,
    'never',
    'On this machine run `fallback update` first: it brings home what was produced meanwhile. Nothing was sent.',
  ),
  PACKS_MISSING: row(
    1,
    'now',
    'The server lacks packs that the snapshot needs. Run the push again: they are sent again.',
  ),
  CONFLICT: row(1, 'never', 'The server already holds something else under that number. Run the push again.'),
  DIGEST_MISMATCH: row(
    1,
    'now',
    'The bytes were changed on the way. Run it again; if it stays, check memory and network.',
  ),
  QUOTA_EXCEEDED: row(
    1,
    'later',
    'On the fallback server raise it (fallback repositories quota NAME SIZE) or keep fewer snapshots, then push again: what was sent is kept.',
  ),
  SERVER_FULL: row(1, 'later', 'Free space on the fallback server, then run the push again: what was sent is kept.'),
  RATE_LIMITED: row(10, 'now', 'Too many requests; wait a little.'),
  SERVER_ERROR: row(1, 'now', 'See the log of `fallback serve`; then run it again: what a push has sent is kept.'),
  STORE_LOCKED: row(10, 'later', 'Another process holds the store’s folder. Wait until it ends.'),
  STORE_INVALID: row(1, 'never', 'The folder is not a fallback store, or was written by a newer version.'),
  RETENTION_EMPTY: row(2, 'never', 'Nothing was removed. Set at least one rule: `fallback retention policy --help`.'),
  INCOMPLETE: row(3, 'later', 'Look at what is missing above; the rest is safe.'),
  // YunoHost
  YUNOHOST_MISSING: row(
    2,
    'never',
    'This is done on a machine with YunoHost, as root. Other archives are pushed by name: `fallback push FILE`.',
  ),
  YUNOHOST_FAILED: row(1, 'later', 'See /var/log/yunohost/yunohost-cli.log, then run the same command again.'),
  YUNOHOST_BUSY: row(
    10,
    'later',
    'Another YunoHost operation is running. Wait until it ends, then run the same command again.',
  ),
  YUNOHOST_TIMEOUT: row(
    1,
    'later',
    'Look what hangs (a database, a mounted disk): /var/log/yunohost/yunohost-cli.log. Then run it again.',
  ),
  WINDOW_MISSED: row(
    1,
    'later',
    'The next run of the timer waits until the window opens. To push now: fallback push. Where it happens again: a longer push.window.',
  ),
  // Takeover
  WRONG_STATE: row(
    2,
    'never',
    'The message names this machine’s state; docs/OPERATIONS.md says what to type. Nothing was changed.',
  ),
  TAKEOVER_REFUSED: row(1, 'never', 'Look at what was refused above; nothing was changed.'),
  BACKUP_FAILED: row(1, 'later', 'Nothing was removed. Repair what is named above, then run the same command again.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorCodes;
