/** node-echo: a node:net echo server. Prints its port; ends when its input closes. */

import { endWithStdin, listenAndPrintPort } from './node-server.ts'

await listenAndPrintPort()
endWithStdin()
