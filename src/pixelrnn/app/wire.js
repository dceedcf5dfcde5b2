// Unpack a message from Python, see components.py: the length of a JSON header in 4 bytes, the header, and the bytes of the images.
export function unpack(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const pictures = new Map();
  let start = 4 + length;
  for (const [name, size] of header.blobs) {
    pictures.set(name, bytes.slice(start, start + size));
    start += size;
  }
  return { header, pictures };
}

// Fill values into the {names} of a sentence.
export const say = (sentence, values = {}) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
