"""Batches: from a dropped manifest to a folder of pictures, by way of ordinary jobs.

manifest -> BatchPreparer -> Distributed Map -> BatchSubmitter -> jobs
                                                     '-- BatchSettler <-- jobs that have ended
            BatchFinisher <-- results of the map <--------'
"""
