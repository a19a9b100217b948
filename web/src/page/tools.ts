/** Functions that this page can run for a model, so that one can see a call go round. */

import type { PageTool } from '../client'
import type { Theme } from './choices'

export function pageTools(setTheme: (theme: Theme) => void): readonly PageTool[] {
  return [
    {
      tool: {
        type: 'function',
        name: 'set_page_theme',
        description: 'Make the page light or dark.',
        parameters: {
          type: 'object',
          properties: { theme: { type: 'string', enum: ['light', 'dark', 'auto'] } },
          required: ['theme'],
        },
      },
      run: async (given) => {
        const theme = given['theme']
        if (theme !== 'light' && theme !== 'dark' && theme !== 'auto') throw new Error('theme must be light, dark or auto')
        setTheme(theme)
        return { theme }
      },
    },
    {
      tool: {
        type: 'function',
        name: 'describe_browser',
        description: "Tell the person's language, time zone, local time and window size.",
        parameters: { type: 'object', properties: {} },
      },
      run: async () => ({
        language: navigator.language,
        time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        local_time: new Date().toLocaleString(),
        window: { width: innerWidth, height: innerHeight },
      }),
    },
  ]
}
