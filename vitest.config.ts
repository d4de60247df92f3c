import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // How long something hangs before it is given up, not how long it may take.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Tests wait for processes and disks more than they compute.
    maxWorkers: '100%',
    allowOnly: false,
  },
})
