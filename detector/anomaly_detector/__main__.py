"""Starts a scoring pod: `python -m anomaly_detector`. Exits with 0 after SIGTERM, with 2 when its orders make no sense."""

import gc
import logging
import signal
import sys


def main() -> int:
    """The process. What takes long to import comes late: the broker is being asked meanwhile."""
    gc.disable()  # nothing that is made in a start is garbage; looking for some takes a tenth of its time
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)

    from confluent_kafka import KafkaException

    from anomaly_detector.adapters import assignment_files
    from anomaly_detector.adapters.kafka.diagnose.broker_monitor import BrokerMonitor
    from anomaly_detector.adapters.kafka.produce.connections import Connections
    from anomaly_detector.adapters.kafka.security.access import AccessError
    from anomaly_detector.settings import Settings

    try:
        settings = Settings.from_environment()
        runtime = assignment_files.runtime(settings.config_folder)
        broker_monitor = BrokerMonitor(runtime, settings.pod)
        broker_monitor.start()
        try:
            connections = Connections(runtime, settings.pod, broker_monitor.listener)
        except (AccessError, KafkaException):
            connections = None  # what is wrong with them is said by the surroundings

        from anomaly_detector.web import serve, starting

        routes = starting()
        server = serve(settings.http_host, settings.http_port, routes)

        from anomaly_detector.adapters.assignment_watcher import AssignmentWatcher
        from anomaly_detector.adapters.confinement.model import Limits
        from anomaly_detector.service import Service

        limits = Limits(memory=settings.candidate_memory, seconds=settings.candidate_milliseconds / 1000)
        watcher = AssignmentWatcher(settings.config_folder, limits=limits)
        service = Service(settings, runtime, broker_monitor, watcher, connections)
    except (assignment_files.AssignmentError, ValueError) as error:
        logging.getLogger(__name__).error("%s", error)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    routes.update(service.reporter.routes)
    gc.freeze()  # what has been made so far lives for ever: the collector need not look at it again
    gc.enable()
    gc.set_threshold(50_000, 20, 50)  # thousands of messages come and go with each batch: looking every 700 costs 5 %
    sys.setswitchinterval(0.0005)  # who scores wants Python's lock between two runs; the loop gives it back as soon
    service.run()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
