"""Images as data: the OCI image and distribution specifications, as far as this command needs them.

A container image is three kinds of content, each known by the SHA-256 of its bytes (`names.Digest`):

- **layers** (`layers`): tar archives of files, stacked lowest first. A file in a higher layer hides the one
  below; an entry `.wh.name` (a whiteout) hides it without a replacement. A layer has two digests: that of
  the blob as it is stored and sent, perhaps compressed, and its *diff id*, that of the plain tar.
  Uncompressed, the two are one.
- a **configuration** (`config`): JSON with the program to start, its environment, user and labels, the
  platform, and the diff ids of the layers.
- a **manifest** (`manifest`): JSON that names the configuration and the layers by **descriptors**
  (`descriptor`): media type, digest, size. The manifest's own digest is *the image's digest*: it fixes
  every byte below it. An **index** lists one manifest per platform.

Content lies in a **layout** (`layout`), a folder with each blob under its own digest, or in a registry's
**repository** (`registry`), which stores the same blobs and, beside them, tags: names that point to a
manifest and can move. `content` says for each blob of an image whether it is in the layout or still at a
source to stream it from; `image` joins manifest, configuration and content; `find` looks an image up;
`loopback` shows a layout to a container engine as if it were a registry; `archive` and `unpack` read
layers.

Specifications: https://github.com/opencontainers/image-spec and
https://github.com/opencontainers/distribution-spec
"""
