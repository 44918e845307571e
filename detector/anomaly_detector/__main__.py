"""Starts a scoring pod: `python -m anomaly_detector`. Exits with 0 after SIGTERM, with 2 when its orders make no sense."""

import gc
import logging
import signal
import sys

from anomaly_detector.adapters.order_files import OrderError
from anomaly_detector.adapters.orders import Orders
from anomaly_detector.adapters.web import serve
from anomaly_detector.service import Service
from anomaly_detector.settings import Settings


def main() -> int:
    """The process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = Settings.from_environment()
        orders = Orders(settings.config_folder)
        service = Service(settings, orders.runtime(), orders)
    except (OrderError, ValueError) as error:
        logging.getLogger(__name__).error("%s", error)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    server = serve(settings.http_host, settings.http_port, service.routes)
    gc.collect()
    gc.freeze()  # what has been made so far lives for ever: the collector need not look at it again
    gc.set_threshold(50_000, 20, 50)  # thousands of messages come and go with each batch: looking every 700 costs 5 %
    service.run()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
