"""A second reader of a store's folder, written from docs/FORMAT.md alone: Python's standard library and the zstd command.

It shares no line with src/, and no library but zstd's: HChaCha20, ChaCha20 and Poly1305 are below, as in RFC 8439 and the
draft. It prints the SHA-256 of every archive of every snapshot as JSON. Slow, and in no other way clever.

usage: second-reader.py REPOSITORY_FOLDER WORD_LIST    with the twelve words of the recovery phrase on stdin
"""
import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys
import zlib


def hkdf(key, salt, info, length=32):
    pseudorandom = hmac.new(salt or bytes(32), key, 'sha256').digest()
    okm, block = b'', b''
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.new(pseudorandom, block + info + bytes([counter]), 'sha256').digest()
        okm += block
    return okm[:length]


def rounds(state):
    s = list(state)

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            v = s[z] ^ s[x]
            s[z] = ((v << turn) | (v >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for column in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(*column)
        for diagonal in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*diagonal)
    return s


def initial(key, tail):
    return struct.unpack('<16I', b'expand 32-byte k' + key + tail)


def chacha20_block(key, counter, nonce):
    state = initial(key, struct.pack('<I', counter) + nonce)
    return struct.pack('<16I', *((a + b) & 0xFFFFFFFF for a, b in zip(state, rounds(state))))


def poly1305(key, message):
    r = int.from_bytes(key[:16], 'little') & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at:at + 16] + b'\x01', 'little')) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:], 'little')) & ((1 << 128) - 1)).to_bytes(16, 'little')


def open_seal(key, sealed, associated):
    nonce, text, tag = sealed[:24], sealed[24:-16], sealed[-16:]
    words = rounds(initial(key, nonce[:16]))
    subkey, short = struct.pack('<8I', *words[:4], *words[12:]), bytes(4) + nonce[16:]
    pad = lambda part: part + bytes(-len(part) % 16)
    signed = pad(associated) + pad(text) + struct.pack('<QQ', len(associated), len(text))
    if not hmac.compare_digest(poly1305(chacha20_block(subkey, 0, short)[:32], signed), tag):
        raise ValueError('a seal is broken')
    stream = b''.join(chacha20_block(subkey, 1 + block, short) for block in range(-(-len(text) // 64)))
    return bytes(a ^ b for a, b in zip(text, stream))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at:self.at + count]
        if len(part) != count:
            raise ValueError('an object ends early')
        self.at += count
        return part

    def number(self, count):
        return int.from_bytes(self.take(count), 'little')

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 if value % 2 == 0 else -(value + 1) // 2

    def sized(self):
        return self.take(self.varint())

    def text(self):
        return self.sized().decode('utf-8')


def stored_object(path, kind):
    """The client's bytes of a stored object, once its trailer holds."""
    with open(path, 'rb') as file:
        whole = file.read()
    data, trailer = whole[:-48], whole[-48:]
    assert trailer[:4] == b'FBTR' and trailer[4] == 1 and trailer[5] == kind, path
    assert struct.unpack('<I', trailer[12:16])[0] == zlib.crc32(trailer[:12] + trailer[16:]), path
    assert trailer[16:] == hashlib.sha256(data).digest(), path
    return data


def entropy_of(words, word_list):
    bits = 0
    for word in words:
        bits = bits << 11 | word_list.index(word)
    entropy = (bits >> 4).to_bytes(16, 'big')
    assert bits & 15 == hashlib.sha256(entropy).digest()[0] >> 4, 'the checksum of the phrase'
    return entropy


def secret_of(folder, entropy):
    token = hkdf(entropy, b'', b'fallback/v1/recovery-token')
    wrapping = hkdf(entropy, b'', b'fallback/v1/recovery-slot')
    for name in sorted(os.listdir(folder), reverse=True):
        reader = Reader(stored_object(os.path.join(folder, name), 3))
        assert reader.take(5) == b'FBKY\x01'
        slots = reader.number(1)
        assert reader.number(2) == 0
        repository = reader.take(16)
        reader.number(4)
        for _ in range(slots):
            kind = reader.take(1)
            assert kind in (b'\x01', b'\x02')
            head = kind + reader.take(28 if kind == b'\x01' else 32)
            commitment, sealed = reader.take(32), reader.take(72)
            if kind == b'\x02' and head[1:] == hashlib.sha256(token).digest():
                bound = b'FBKY' + repository + head
                assert commitment == hkdf(wrapping, bound, b'fallback/v1/slot-commitment')
                return repository, open_seal(hkdf(wrapping, bound, b'fallback/v1/slot-seal'), sealed, bound)
    raise ValueError('no slot opens')


class Repository:
    def __init__(self, folder, entropy):
        self.folder = folder
        self.id, secret = secret_of(os.path.join(folder, 'keys'), entropy)
        key = lambda purpose: hkdf(secret, self.id, b'fallback/v1/' + purpose)
        self.pack_key, self.snapshot_key, self.id_key = key(b'pack'), key(b'snapshot'), key(b'chunk-id')
        self.packs = {}

    def pack(self, number):
        """The chunks of a pack, each compared with its id."""
        if number in self.packs:
            return self.packs[number]
        name = f'packs/{number // 1000:09d}/{number:012d}.pack'
        file = stored_object(os.path.join(self.folder, name), 1)
        header, reader = file[:40], Reader(file)
        assert reader.take(5) == b'FBPK\x01' and reader.number(1) == 0 and reader.number(2) == 0
        assert reader.take(16) == self.id and reader.number(8) == number
        lengths = reader.number(4), reader.number(4)
        sealed_directory, sealed_body = reader.take(lengths[0]), reader.take(lengths[1])
        assert reader.at == len(file)
        directory = Reader(open_seal(self.pack_key, sealed_directory, header + b'\x01'))
        method, payload_bytes, count = directory.number(1), directory.varint(), directory.varint()
        sizes = [directory.varint() for _ in range(count)]
        ids = [directory.take(32) for _ in range(count)]
        assert directory.varint() == 0 and not any(directory.data[directory.at:])
        body = open_seal(self.pack_key, sealed_body, header + b'\x02')
        payload = body[:payload_bytes]
        assert not any(body[payload_bytes:])
        contents = payload
        if method == 1:
            contents = subprocess.run(['zstd', '-dcq'], input=payload, stdout=subprocess.PIPE, check=True).stdout
        assert len(contents) == sum(sizes)
        cut, chunks = Reader(contents), []
        for size, chunk_id in zip(sizes, ids):
            chunk = cut.take(size)
            assert hmac.new(self.id_key, chunk, 'sha256').digest() == chunk_id
            chunks.append(chunk)
        self.packs[number] = chunks
        return chunks

    def run_list(self, data):
        reader, pack, parts = Reader(data), 0, []
        while reader.at < len(data):
            pack += reader.zigzag()
            first, count, size = reader.varint(), reader.varint(), reader.varint()
            part = b''.join(self.pack(pack)[first:first + count])
            assert len(part) == size
            parts.append(part)
        return b''.join(parts)

    def rebuild(self, reader):
        """The byte string that the recipe at the reader stands for."""
        size, sha256, nested, runs = reader.varint(), reader.take(32), reader.number(1), reader.sized()
        data = self.run_list(self.run_list(runs) if nested else runs)
        assert len(data) == size and hashlib.sha256(data).digest() == sha256
        return data

    def snapshot(self, name, previous):
        """Its number, the SHA-256 of each archive, and its own."""
        file = stored_object(os.path.join(self.folder, 'snapshots', name), 2)
        reader = Reader(file)
        assert reader.take(5) == b'FBSN\x01' and reader.number(1) in (0, 1) and reader.number(2) == 0
        assert reader.take(16) == self.id
        number, _epoch = reader.number(8), reader.number(8)
        assert reader.take(32) == previous
        reader.text()
        for _ in range(reader.varint()):
            reader.varint(), reader.varint()
        sealed_bytes = reader.number(4)
        head = file[:reader.at]
        record = Reader(open_seal(self.snapshot_key, reader.take(sealed_bytes), head))
        assert reader.at == len(file)
        record.varint(), record.text(), record.text()
        archives = {}
        for _ in range(record.varint()):
            archive = record.text()
            record.number(1), record.varint()
            archives[archive] = hashlib.sha256(self.rebuild(record)).hexdigest()
            if record.number(1) == 1:
                self.rebuild(record)
            for _attribute in range(record.varint()):
                record.text(), record.text()
        for _attribute in range(record.varint()):
            record.text(), record.text()
        assert not any(record.data[record.at:])
        return number, archives, hashlib.sha256(file).digest()


def main():
    folder, list_path = sys.argv[1:]
    with open(list_path, encoding='utf-8') as file:
        word_list = file.read().split()
    repository = Repository(folder, entropy_of(sys.stdin.read().split(), word_list))
    found, previous = {}, bytes(32)
    for name in sorted(os.listdir(os.path.join(folder, 'snapshots'))):
        number, archives, previous = repository.snapshot(name, previous)
        found[str(number)] = archives
    print(json.dumps(found))


main()
