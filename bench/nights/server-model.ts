// A model of a self-hosted server: apps with code, databases, uploads; mail and homes. It changes a little every night, as
// such servers do: new mails, new and edited rows, a few photos, growing logs, now and then an upgrade of an app.
import { readFileSync } from 'node:fs';
import { SeededRandom } from './random.ts';
import { collectFiles, collectWords, type RealFile } from './real-files.ts';

/** A file of the model: its contents are made or read when asked for. */
export interface ModelFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedSeconds: number;
  read(): Uint8Array;
}

/** One archive's worth of files. */
export interface ModelArchive {
  readonly name: string;
  /** Files with stable dates, in order. */
  readonly files: readonly ModelFile[];
  /** Dumps and settings, written anew (with tonight's date) every night. */
  readonly generated: readonly ModelFile[];
}

interface Row {
  id: number;
  text: string;
  updated: number;
}

interface Mail {
  readonly name: string;
  readonly text: string;
  readonly time: number;
}

const firstNight = 1_763_000_000;
const day = 86_400;

function fixed(name: string, modifiedSeconds: number, bytes: Uint8Array): ModelFile {
  return { name, sizeBytes: bytes.byteLength, modifiedSeconds, read: () => bytes };
}

/** An app with code, a database and uploaded photos. */
class ModelApp {
  readonly name: string;
  readonly #random: SeededRandom;
  readonly #words: readonly string[];
  readonly #code: readonly RealFile[];
  readonly #rows: Row[] = [];
  readonly #photos: ModelFile[] = [];
  readonly #log: string[] = [];
  readonly #turnover: number;
  #patched = new Map<string, string>();
  #photoCount = 0;
  /** How often the app was upgraded as a whole. */
  #release = 0;

  constructor(
    name: string,
    code: readonly RealFile[],
    [rows, photos]: readonly [rows: number, photos: number],
    words: readonly string[],
    turnover: number,
  ) {
    this.name = name;
    this.#turnover = turnover;
    this.#random = new SeededRandom(`app ${name}`);
    this.#words = words;
    this.#code = code;
    for (let id = 0; id < rows; id++) this.#rows.push(this.#row(id, firstNight - this.#random.integer(300 * day)));
    for (let index = 0; index < photos; index++) this.#addPhoto(firstNight - this.#random.integer(300 * day));
  }

  #sentence(words: number): string {
    return Array.from({ length: words }, () => this.#random.pick(this.#words))
      .join(' ')
      .replaceAll("'", "''");
  }

  #row(id: number, updated: number): Row {
    return { id, text: this.#sentence(8 + this.#random.integer(24)), updated };
  }

  #addPhoto(time: number): void {
    const sizeBytes = 100_000 + this.#random.integer(1_100_000);
    const number = this.#photoCount++;
    const seed = `${this.name} photo ${number}`;
    this.#photos.push({
      name: `uploads/${new Date(time * 1000).getUTCFullYear()}/IMG_${String(number).padStart(5, '0')}.jpg`,
      sizeBytes,
      modifiedSeconds: time + 0.25,
      read: () => {
        const bytes = new SeededRandom(seed).bytes(sizeBytes);
        Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex').copy(bytes);
        return bytes;
      },
    });
  }

  /** A night's changes. */
  change(night: number): void {
    const now = firstNight + night * day;
    const count = this.#rows.length;
    for (let index = 0; index < count / 400; index++) this.#rows.push(this.#row(this.#rows.length, now));
    for (let index = 0; index < count / 600; index++) {
      const row = this.#rows[this.#random.integer(this.#rows.length)];
      if (row !== undefined) Object.assign(row, { text: this.#sentence(10), updated: now });
    }
    const photos =
      this.#photos.length === 0 ? 0 : 1 + this.#photos.length / (this.#turnover === 0 ? 200 : 200 * this.#turnover);
    for (let index = 0; index < this.#share(photos); index++) this.#addPhoto(now);
    for (let index = 0; index < this.#share(400); index++) {
      this.#log.push(
        `${now + index * 60} GET /${this.#sentence(2).replaceAll(' ', '/')} 200 ${this.#random.integer(90_000)}`,
      );
    }
    // An upgrade every third night touches a few files of the code.
    if (night % 3 === 2)
      for (let index = 0; index < 12; index++)
        this.#patched.set(this.#random.pick(this.#code).name, `// patched ${night}\n`);
    if (this.#turnover > 0) this.#lose(night);
  }

  /** Of so many a night at full size, how many tonight: by the model's scale where things also go away, else all. */
  #share(count: number): number {
    if (this.#turnover === 0) return count;
    const share = count * this.#turnover;
    return Math.floor(share) + (this.#random.integer(1000) < (share % 1) * 1000 ? 1 : 0);
  }

  /** What goes away in a night: rows, now and then a photo, old lines of the log; once a month a release replaces code. */
  #lose(night: number): void {
    for (let index = 0; index < this.#rows.length / 800; index++)
      this.#rows.splice(this.#random.integer(this.#rows.length), 1);
    const photos = this.#photos.length === 0 ? 0 : this.#share(1);
    for (let index = 0; index < photos; index++) this.#photos.splice(this.#random.integer(this.#photos.length), 1);
    this.#log.splice(0, Math.max(0, this.#log.length - 14 * 400 * this.#turnover));
    if ((night + this.name.length * 7) % 30 === 0) this.#release++;
  }

  /** A file as tonight's release has it: of every release two files in five are others, as bundled code is. */
  #codeOf(file: RealFile, index: number): Uint8Array {
    const bytes = readFileSync(file.path);
    let edition = 0;
    for (let release = 1; release <= this.#release; release++) if ((index * 7 + release * 3) % 5 < 2) edition = release;
    if (edition > 0) for (let at = 0; at < bytes.length; at += 97) bytes[at] = (bytes[at] ?? 0) ^ edition;
    return bytes;
  }

  #dump(now: number): ModelFile {
    const lines: string[] = ['-- MySQL dump', 'CREATE TABLE `posts` (`id` int, `body` text, `updated` int);'];
    for (let start = 0; start < this.#rows.length; start += 2000) {
      const values = this.#rows.slice(start, start + 2000).map((row) => `(${row.id},'${row.text}',${row.updated})`);
      lines.push(`INSERT INTO \`posts\` VALUES ${values.join(',')};`);
    }
    return fixed(`apps/${this.name}/backup/db.sql`, now, Buffer.from(lines.join('\n')));
  }

  archive(now: number): ModelArchive {
    const root = `apps/${this.name}/backup`;
    const code = this.#code.map((file, index): ModelFile => {
      const patch = this.#patched.get(file.name);
      const name = `${root}/var/www/${this.name}/${file.name}`;
      if (patch === undefined) return { ...file, name, read: () => this.#codeOf(file, index) };
      return fixed(name, file.modifiedSeconds + 1000, Buffer.concat([Buffer.from(patch), this.#codeOf(file, index)]));
    });
    const photos = this.#photos.map((file) => ({
      ...file,
      name: `${root}/home/yunohost.app/${this.name}/${file.name}`,
    }));
    const log = fixed(`${root}/var/log/${this.name}/${this.name}.log`, now - 60, Buffer.from(this.#log.join('\n')));
    const settings = fixed(
      `apps/${this.name}/settings/settings.yml`,
      now,
      Buffer.from(`id: ${this.name}\ndb_pwd: ${this.name}-secret\n`),
    );
    return { name: this.name, files: [...code, ...photos, log], generated: [this.#dump(now), settings] };
  }
}

/** Configuration, homes and mail. */
class ModelSystem {
  readonly #random = new SeededRandom('system');
  readonly #words: readonly string[];
  readonly #documents: readonly RealFile[];
  readonly #mails: Mail[] = [];
  readonly #turnover: number;
  #mailCount = 0;

  constructor(documents: readonly RealFile[], mails: number, words: readonly string[], turnover: number) {
    this.#documents = documents;
    this.#words = words;
    this.#turnover = turnover;
    for (let index = 0; index < mails; index++) this.#addMail(firstNight - this.#random.integer(300 * day));
  }

  #addMail(time: number): void {
    const number = this.#mailCount++;
    const words = Array.from({ length: 40 + this.#random.integer(600) }, () => this.#random.pick(this.#words));
    const attachment =
      number % 25 === 0
        ? `\r\n${this.#random
            .bytes(60_000 + this.#random.integer(200_000))
            .toString('base64')
            .replace(/(.{76})/g, '$1\r\n')}`
        : '';
    const user = ['alice', 'bob', 'camille'][number % 3] ?? 'alice';
    this.#mails.push({
      name: `data/mail/${user}/cur/${time}.M${number}P1.main,S=${words.length}:2,S`,
      text: `From: x@example.org\r\nTo: ${user}@main.test\r\nSubject: ${words.slice(0, 5).join(' ')}\r\n\r\n${words.join(' ').replace(/(.{70}\S*) /g, '$1\r\n')}${attachment}\r\n`,
      time,
    });
  }

  change(night: number): void {
    const count = (this.#turnover === 0 ? 10 : 10 * this.#turnover) + this.#mails.length / 150;
    for (let index = 0; index < count; index++) this.#addMail(firstNight + night * day - index);
    if (this.#turnover === 0) return;
    for (let index = 0; index < count * 0.6; index++) this.#mails.splice(this.#random.integer(this.#mails.length), 1);
  }

  archive(now: number): ModelArchive {
    const homes = this.#documents.map((file) => ({
      ...file,
      name: `data/home/alice/documents/${file.name}`,
      read: () => readFileSync(file.path),
    }));
    const mails = this.#mails
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((mail) => fixed(mail.name, mail.time + 0.5, Buffer.from(mail.text)));
    const ldif = fixed('conf/ldap/dc=yunohost-dc=org.ldif', now, Buffer.from(this.#words.slice(0, 3000).join('\n')));
    return { name: 'system', files: [...homes, ...mails], generated: [ldif] };
  }
}

/** How large the model is: 1 gives about 820 MB a night where /usr/share and /usr/lib are as on a Debian server. */
export interface ModelScale {
  readonly scale: number;
  /** Folders that app code is taken from. */
  readonly codeFolders: readonly string[];
  /** Whether things also go away: mails and photos deleted, logs rotated, apps upgraded as a whole. */
  readonly turnover?: boolean;
}

/** A server whose nights can be written one after the other. */
export class ServerModel {
  readonly #apps: ModelApp[] = [];
  readonly #system: ModelSystem;
  #night = 0;

  constructor({ scale, codeFolders, turnover = false }: ModelScale) {
    const files = codeFolders.flatMap((folder) => collectFiles(folder, (380e6 * scale) / codeFolders.length));
    const words = collectWords(files, 4e6);
    const names = ['nextcloud', 'wordpress', 'gitea', 'dokuwiki', 'freshrss', 'roundcube', 'vaultwarden', 'mediawiki'];
    const share = Math.ceil(files.length / (names.length + 1));
    for (const [index, name] of names.entries()) {
      const code = files.slice(index * share, (index + 1) * share);
      const rows = Math.round(scale * ([160_000, 90_000, 20_000, 0, 60_000, 15_000, 4_000, 120_000][index] ?? 0));
      const photos = Math.round(scale * ([220, 80, 0, 40, 0, 0, 0, 50][index] ?? 0));
      this.#apps.push(new ModelApp(name, code, [rows, photos], words, turnover ? scale : 0));
    }
    this.#system = new ModelSystem(
      files.slice(names.length * share),
      Math.round(9000 * scale),
      words,
      turnover ? scale : 0,
    );
  }

  /** The archives as they are tonight. */
  archives(): ModelArchive[] {
    const now = firstNight + this.#night * day + 3600;
    return [this.#system.archive(now), ...this.#apps.map((app) => app.archive(now))];
  }

  /** A day goes by. */
  change(): void {
    this.#night++;
    this.#system.change(this.#night);
    for (const app of this.#apps) app.change(this.#night);
  }
}
