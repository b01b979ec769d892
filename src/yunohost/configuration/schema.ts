// Every key of config.toml: its kind, its default, what it is for. docs/CONFIGURATION.md lists the same; a test compares them.
import {
  choice,
  duration,
  flag,
  type TextRules,
  text,
  texts,
  timeWindow,
  type ValueKind,
  whole,
} from './value-kinds.ts';

const appIds: TextRules = { shape: 'app ids as `yunohost app list` shows them', pattern: /^[a-z0-9][a-z0-9_-]*$/ };
const partNames: TextRules = { shape: 'system parts as `yunohost hook list backup` shows them', pattern: /^[\w.-]+$/ };
const paths: TextRules = { shape: 'absolute paths', pattern: /^\/[^\0/][^\0]*$/ };
const path: TextRules = { shape: 'an absolute path', pattern: /^\/[^\0]*$/ };
const domain: TextRules = { shape: 'a domain', pattern: /^[a-z0-9]([a-z0-9-]*\.)+[a-z0-9-]+$/i };
const domains: TextRules = { shape: 'domains', pattern: domain.pattern };
const addresses: TextRules = {
  shape: 'mail addresses or local users',
  pattern: /^[^\s@,<>;"\\-][^\s@,<>;"\\]*(@[^\s@,<>;"\\]+)?$/,
};
const address: TextRules = { shape: 'a mail address', pattern: addresses.pattern };
const webAddress: TextRules = { shape: 'an address with https:// (or http://)', pattern: /^https?:\/\/[^\s]+$/ };
const webAddresses: TextRules = { shape: 'addresses with https:// (or http://)', pattern: webAddress.pattern };

/** Sections and keys as they stand in the file. */
export const schema = {
  server: {
    role: choice(
      ['main', 'fallback'],
      'main',
      'What this machine is: the main server backs itself up, the fallback server takes over.',
    ),
    own_domain: text(
      '',
      'The fallback server’s own domain: it is added again after a deploy, so that the server stays reachable.',
      domain,
    ),
    own_app: text(
      'fallback',
      'The id of fallback’s own YunoHost app, if it was installed as one. It is never part of a backup: its files hold the key.',
      {
        shape: 'an app id',
        pattern: appIds.pattern,
      },
    ),
  },
  store: {
    state: text('/var/lib/fallback', 'This machine’s own folder of fallback: the pairing, the key, the index.', path),
    folder: text('', 'On the fallback server: the store’s folder, the one of `fallback serve --dir`.', path),
    repository: text(
      '',
      'On the fallback server: which repository of the store is meant, by name or id. Empty: the only one.',
    ),
  },
  apps: {
    include: texts(
      [],
      'Only these apps are covered. Empty: all apps, also those installed later. A name that no app has is reported every night.',
      appIds,
    ),
    exclude: texts([], 'Apps that are not covered.', appIds),
    first: texts([], 'Apps that matter most, in order: they are pushed and restored first.', appIds),
    app_list: text(
      '',
      'The `app_list` of the old fallback_ynh: its apps marked `[.]` are covered, as if they stood in `include`.',
      path,
    ),
  },
  system: {
    enabled: flag(true, 'Whether the system is covered: users, domains, settings, certificates, mail, homes.'),
    exclude: texts(
      [],
      'System parts that are not covered. All others are, also those that apps or you add as hooks.',
      partNames,
    ),
    homes: flag(true, 'Homes of users (`data_home`). A file `.nobackup` in a home leaves that one out.'),
    multimedia: flag(true, 'The shared multimedia folder (`data_multimedia`).'),
    mail: flag(true, 'Mail (`data_mail`).'),
  },
  extra: {
    paths: texts(
      [],
      'More folders or files, kept in an archive of their own called `extra-paths`. Links are kept, not followed.',
      paths,
    ),
    exclude: texts([], 'What to leave out of them.', paths),
  },
  push: {
    method: choice(
      ['archive', 'stream'],
      'archive',
      '`archive`: YunoHost makes one archive after the other, each is pushed and removed. `stream`: no archive on disk; YunoHost’s lock is held while each app is sent.',
    ),
    limit_upload_kib: whole(0, 2 ** 31, 0, 'Send at most so many KiB (1024 bytes) a second; 0 for no limit.'),
    window: timeWindow(
      'The timer’s push waits for this time, and begins an archive only within it. What was not reached is kept as it was, and comes first the next night, what waits longest before all; a night that found no time in it is reported. A push by hand does not look at it.',
    ),
    suspicious_percent: whole(
      0,
      99,
      50,
      'An archive smaller than this share of the last one, and at least 1 MiB smaller, is pushed and reported as suspicious; 0 never.',
    ),
    reserve_mib: whole(0, 2 ** 20, 500, 'So much of the disk stays free when an archive is made.'),
  },
  yunohost: {
    lock_timeout: duration('2h', 'How long a command waits while another YunoHost operation runs; it is tried twice.'),
    time_limit: duration(
      '6h',
      'How long YunoHost may take for one archive, waiting not counted. Then it is ended, and the app counts as failed.',
    ),
  },
  report: {
    mail: choice(
      ['always', 'errors', 'weekly', 'never'],
      'errors',
      'When a mail is sent. `weekly`: at once when something is wrong, else once a week.',
    ),
    mail_to: texts(['root'], 'Who gets it; empty only with mail = "never".', addresses),
    mail_from: text('', 'The sender; empty: root of this machine.', address),
    sendmail: text('/usr/sbin/sendmail', 'The local program that takes mails.', path),
    webhook: text('', 'Gets every report as JSON by POST.', webAddress),
    healthcheck: text(
      '',
      'A monitor of the Healthchecks kind: asked for at ADDRESS/start, ADDRESS, and ADDRESS/fail.',
      webAddress,
    ),
  },
  retention: {
    keep_days: whole(0, 36_500, 14, 'On the fallback server: every snapshot younger than this stays.'),
    daily: whole(0, 100_000, 30, 'One snapshot for each of so many days stays.'),
    weekly: whole(0, 100_000, 13, 'One for each of so many weeks.'),
    monthly: whole(0, 100_000, 12, 'One for each of so many months.'),
    floor: whole(1, 100_000, 7, 'So many newest snapshots stay in any case.'),
    grace_days: whole(0, 3650, 7, 'What is dropped can be taken back for so many days.'),
  },
  alarm: {
    max_age: duration('36h', 'On the fallback server: a mail is sent when the newest complete snapshot is older.'),
  },
  deploy: {
    max_age: duration('72h', 'A snapshot older than this is deployed only when you say so.'),
    exclude: texts([], 'Apps that are not restored on the fallback server.', appIds),
    exclude_system: texts([], 'System parts that are not restored on the fallback server.', partNames),
    keep_ssh: flag(true, 'The fallback server keeps its own SSH port and firewall openings.'),
  },
  dns: {
    method: choice(
      ['show', 'yunohost', 'script'],
      'show',
      'What `deploy` does about DNS: show the records that must change, let YunoHost change them (its DynDNS, or the registrar’s API), or run your script.',
    ),
    script: text('', 'Your script: it gets `set` or `dry-run`, the domain, the IPv4 and the IPv6 address.', path),
    ipv4: text('', 'The fallback server’s public IPv4 address; empty: found out.', {
      shape: 'an IPv4 address',
      pattern: /^\d+\.\d+\.\d+\.\d+$/,
    }),
    ipv6: text('', 'The fallback server’s public IPv6 address; empty: found out.', {
      shape: 'an IPv6 address',
      pattern: /^[0-9a-f:]+$/i,
    }),
  },
  watch: {
    enabled: flag(false, 'Whether the fallback server watches the main server.'),
    domains: texts(
      [],
      'Which of its domains are asked over HTTPS; empty: the main domain of its newest snapshot, as `fallback arm` or a rehearsal noted it. While none is known, nothing is decided.',
      domains,
    ),
    smtp: flag(true, 'Whether its SMTP port is asked too.'),
    own_link: texts(
      ['https://www.debian.org/', 'https://www.eff.org/', 'https://www.wikipedia.org/'],
      'Asked first: when none of these answers, it is this machine’s own link that is down, and nothing is done. With `deploy`, an empty list means that nothing is decided.',
      webAddresses,
    ),
    delay: duration(
      '1h',
      'How long every probe must fail before it counts as an incident, at three looks at least. Looks more than five minutes apart begin anew.',
    ),
    deploy: flag(false, 'Whether an incident deploys by itself. It needs `fallback arm` as well.'),
  },
} as const satisfies Record<string, Record<string, ValueKind<unknown>>>;

type Camel<Text extends string> = Text extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Text;
type ValueOf<Kind> = Kind extends ValueKind<infer Value> ? Value : never;
type Schema = typeof schema;

/** config.toml, read and checked; keys in camel case. Lengths of time are in milliseconds. */
export type Configuration = {
  readonly [Section in keyof Schema]: {
    readonly [Key in keyof Schema[Section] & string as Camel<Key>]: ValueOf<Schema[Section][Key]>;
  };
};

/** `lock_timeout` as `lockTimeout`. */
export const camelCase = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
