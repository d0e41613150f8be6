/** Drivers that compute what a graphics card would draw; they pass the browser's own question for slow ones. */
const EMULATED = /swiftshader|llvmpipe|softpipe|software|basic render|swrast/i

let known: boolean | undefined

/**
 * Whether WebGL is drawn by hardware. Where it is emulated (a virtual desktop, a machine without a
 * driver) a frame of a full window takes a tenth of a second or more, in which the page does nothing
 * else; the renderer that writes elements takes a few milliseconds there.
 */
export function hasHardwareWebgl(): boolean {
  known ??= look()
  return known
}

function look(): boolean {
  const context = document.createElement('canvas').getContext('webgl2', { failIfMajorPerformanceCaveat: true })
  if (!context) return false
  const info = context.getExtension('WEBGL_debug_renderer_info')
  const driver = String(context.getParameter(info?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER))
  context.getExtension('WEBGL_lose_context')?.loseContext()
  return !isEmulated(driver)
}

/** Whether a driver's name is one of those that compute. */
export const isEmulated = (driver: string): boolean => EMULATED.test(driver)
