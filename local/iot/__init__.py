"""What moto's AWS IoT lacks: the jobs data plane, job templates in use, fleet provisioning."""

from .front import with_iot
from .job_executions import install_jobs
from .provisioning import TemplateRegistry

__all__ = ["TemplateRegistry", "install_jobs", "with_iot"]
