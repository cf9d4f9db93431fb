# SPDX-License-Identifier: Apache-2.0
"""The queue and who works on its tasks, put together as tap/daemon.py does it."""

from twisted.internet.defer import Deferred

from stackviz_deployer.jobs.epilogue import Epilogue
from stackviz_deployer.jobs.executor import Executor
from stackviz_deployer.jobs.local import LocalBus
from stackviz_deployer.jobs.queue import JobQueue


class WholeQueue(JobQueue):
    """Starts and stops its executor with itself."""

    def __init__(self, *, pipeline, scrapes, bus=None, works=True, hold=None, **parts):
        store, clock, writable = parts["store"], parts["clock"], parts.get("writable", lambda: None)
        bus = bus or LocalBus(store, writable)
        epilogue = Epilogue(parts["uploads"])
        self.executor = None
        if works:
            more = {} if hold is None else {"hold": hold}
            self.executor = Executor(
                bus=bus,
                store=store,
                pipeline=pipeline,
                clock=clock,
                scrapes=scrapes,
                epilogue=epilogue,
                **more,
            )
        super().__init__(bus=bus, epilogue=epilogue, executor=self.executor, **parts)

    def startService(self):
        super().startService()
        if self.executor is not None:
            self.executor.startService()

    def stopService(self):
        return Deferred.fromCoroutine(self._stop_both())

    async def _stop_both(self):
        self.running = 0
        if self.executor is not None:
            await self.executor.stopService()
        await super().stopService()
