import type { ClipboardSelectionType, IBase64, IClipboardProvider } from '@xterm/addon-clipboard'

/** The most a program on a target may put on the clipboard at once. */
export const CLIPBOARD_LIMIT_BYTES = 1024 * 1024

/** Base64 of the OSC 52 sequence; text that is too long or not base64 decodes to nothing. */
export const clipboardBase64: IBase64 = {
  encodeText: () => '',
  decodeText: (data) => {
    if (data.length > Math.ceil((CLIPBOARD_LIMIT_BYTES * 4) / 3) + 4) return ''
    try {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))
      return new TextDecoder().decode(bytes)
    } catch {
      return ''
    }
  },
}

/**
 * What OSC 52 may do: a program never learns what is on the clipboard (reads
 * answer with nothing), and may write to it only where `allow` says so.
 */
export class GuardedClipboard implements IClipboardProvider {
  readonly #write: (text: string) => Promise<void>

  constructor(write: (text: string) => Promise<void>) {
    this.#write = write
  }

  readText(_selection: ClipboardSelectionType): string {
    return ''
  }

  async writeText(_selection: ClipboardSelectionType, text: string): Promise<void> {
    if (text === '') return
    await this.#write(text)
  }
}
