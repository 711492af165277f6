from tests import processes

processes.prepare()
