"""Work in turn: in order, as many at once as there are threads, and no more waiting than may."""

import threading

import pytest

from pixelrnn.queue import QueueFull, Worker


def test_jobs_are_done_in_the_order_they_were_asked_for() -> None:
    worker, done, door = Worker(), [], threading.Event()
    first = worker.submit(lambda job: door.wait())
    jobs = [worker.submit(lambda job, number=number: done.append(number)) for number in range(5)]
    assert [job.ahead() for job in (first, *jobs)] == [0, 1, 2, 3, 4, 5]
    door.set()
    worker.close()
    assert done == [0, 1, 2, 3, 4]
    assert worker.length() == jobs[-1].ahead() == 0


def test_more_than_may_wait_are_refused_until_there_is_room() -> None:
    worker, door = Worker(threads=2, limit=1), threading.Event()
    jobs = [worker.submit(lambda job: door.wait()) for _ in range(3)]
    with pytest.raises(QueueFull):
        worker.submit(lambda job: None)
    assert jobs[2].cancel()  # it had not begun
    last = worker.submit(lambda job: "room")
    door.set()
    assert last.result() == "room"
    worker.close()


def test_two_threads_work_at_once() -> None:
    worker, both = Worker(threads=2), threading.Barrier(2)
    jobs = [worker.submit(lambda job: both.wait(60)) for _ in range(2)]
    assert {job.result() for job in jobs} == {0, 1}
    worker.close()


def test_work_that_was_begun_is_told_that_nobody_waits() -> None:
    worker, begun, door = Worker(), threading.Event(), threading.Event()

    def work(job: object) -> bool:
        begun.set()
        door.wait()
        return job.left

    job = worker.submit(work)
    begun.wait()
    assert not job.cancel()
    door.set()
    assert job.result() is True
    worker.close()


def test_what_work_raises_is_raised_for_who_asked() -> None:
    worker = Worker()
    job = worker.submit(lambda job: 1 / 0)
    for _ in job.ticks():
        pass
    with pytest.raises(ZeroDivisionError):
        job.result()
    worker.close()
